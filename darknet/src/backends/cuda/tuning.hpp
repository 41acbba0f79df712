// SPDX-License-Identifier: Apache-2.0
// Engines of cuDNN that were chosen by their time: measured once, and kept on disk.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "disk_cache.hpp"
#include "memory.hpp"

namespace dn::cuda {

class Tuning {
public:
    explicit Tuning(std::string cache_folder = DiskCache::default_folder());

    // An engine: its place in the list of cuDNN's heuristic, which is the same whenever it is asked, and cuDNN's number
    // of it, for a check of that.
    struct Choice {
        std::size_t place;
        int number;
    };
    // `key` is all that times and list depend on.
    std::optional<Choice> read(const std::string& key) const;
    void keep(const std::string& key, Choice choice) const;

private:
    DiskCache cache_;
};

// PYDARKNET_CUDA_TUNE: 1 for a Tuning, by default and for 0 none. Throws Error(invalid_argument) for others.
std::optional<Tuning> tuning_of_environment();

// Seconds on the device of what work() enqueues, the least of a few times.
double seconds_of(const Stream& stream, const std::function<void()>& work);

}  // namespace dn::cuda
