// SPDX-License-Identifier: Apache-2.0
#include "tuning.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>

#include "../../error.hpp"

namespace dn::cuda {

Tuning::Tuning(std::string cache_folder) : cache_(std::move(cache_folder), "engine") {}

// A file is two numbers and, for readers, the key.
std::optional<Tuning::Choice> Tuning::read(const std::string& key) const {
    const std::optional<std::string> kept = cache_.read(key);
    if (!kept) return std::nullopt;
    std::istringstream stream(*kept);
    Choice choice{};
    if (!(stream >> choice.place >> choice.number)) return std::nullopt;
    return choice;
}

void Tuning::keep(const std::string& key, Choice choice) const {
    cache_.write(key, text(choice.place, ' ', choice.number, '\n', key, '\n'));
}

std::optional<Tuning> tuning_of_environment() {
    const char* value = std::getenv("PYDARKNET_CUDA_TUNE");
    const std::string word = value ? value : "";
    if (word.empty() || word == "0") return std::nullopt;
    if (word == "1") return Tuning();
    throw Error(Status::invalid_argument, "PYDARKNET_CUDA_TUNE", text("found '", word, "', expected 0 or 1"));
}

double seconds_of(const Stream& stream, const std::function<void()>& work) {
    constexpr int kTimes = 5;
    const Event first(stream.shared_device(), true), last(stream.shared_device(), true);
    work();  // the first time loads it
    double least = std::numeric_limits<double>::max();
    for (int i = 0; i < kTimes; ++i) {
        first.record(stream);
        work();
        last.record(stream);
        stream.synchronize();
        least = std::min(least, last.seconds_since(first));
    }
    return least;
}

}  // namespace dn::cuda
