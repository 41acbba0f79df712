// SPDX-License-Identifier: Apache-2.0
// Loops over very long arrays, in contiguous parts on threads of their own: they run in a forked child too, where an
// OpenMP team would be gone, and a loop over millions of values does not feel the start of a thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace dn {

constexpr std::size_t kLeastPart = std::size_t{1} << 18;  // values; fewer are not worth a thread

// work(first, last) over [0, count) on at most `threads` threads, the caller's among them. It must not throw.
template <class Work>
void in_parallel(std::size_t count, int threads, const Work& work) {
    const std::size_t parts = std::clamp<std::size_t>(count / kLeastPart, 1, static_cast<std::size_t>(threads));
    const auto start = [&](std::size_t part) { return count * part / parts; };
    struct Team : std::vector<std::thread> {
        ~Team() {
            for (std::thread& thread : *this) thread.join();
        }
    } team;
    team.reserve(parts - 1);
    std::size_t own = parts;  // from this part on it is the caller's, when there are no more threads or no memory
    for (std::size_t part = 1; part < own; ++part) try {
            team.emplace_back([&work, first = start(part), last = start(part + 1)] { work(first, last); });
        } catch (const std::exception&) {
            own = part;
        }
    work(std::size_t{0}, start(1));
    if (own < parts) work(start(own), count);
}

}  // namespace dn
