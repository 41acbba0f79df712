// SPDX-License-Identifier: Apache-2.0
// The GPU of the fake driver: its memory, and the work of its streams.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "../sanitizers.hpp"
#include "fakes.hpp"

#define DN_LOCKED const std::lock_guard<std::recursive_mutex> lock(dn::fakes::world().mutex)

namespace dn::fakes {

#if defined(DN_ASAN)
constexpr std::size_t kGuard = 0;  // AddressSanitizer watches the bytes behind an allocation
#else
constexpr std::size_t kGuard = 256;
#endif
constexpr unsigned char kGuardByte = 0xA5, kUnwritten = 0xFF;  // NaN in every type

using Work = std::deque<std::function<void()>>;

// Work that is captured does not run: it becomes a graph.
struct Stream {
    Work work, captured;
    long long done = 0;
    bool capturing = false, refused = false;  // a call that a capture does not permit
    std::thread::id capturer;                 // whose calls it watches
    bool computes = false;                    // a kernel was launched on it

    // What is enqueued from now on stands behind so much work.
    long long place() const { return done + static_cast<long long>(work.size()); }
};

// Behind so much work of a stream, and when that was done on the clock of the fake GPU.
struct Event {
    Stream* stream = nullptr;
    long long place = 0;
    bool timed = true;
    std::shared_ptr<long long> microseconds = std::make_shared<long long>(0);
};

struct Block {
    std::size_t bytes;
    bool intact(const char* start) const;
};

struct State {
    std::map<const char*, Block> blocks;  // by address
    std::set<std::unique_ptr<Stream>> streams;
    std::set<std::unique_ptr<Event>> events;
    std::set<std::unique_ptr<Work>> graphs;  // and what is made of them
    std::set<void*> pinned;
    std::size_t used = 0;
    int broken = 0;  // the sticky error
};

State& state();

inline Stream* of(cuda::abi::StreamHandle* stream) { return reinterpret_cast<Stream*>(stream); }

// The first `count` of what waits; by default all.
int run(Stream& stream, long long count = -1);
int run_all();
// Whether a capture of this thread refuses a call that waits or allocates.
bool captures();

}  // namespace dn::fakes
