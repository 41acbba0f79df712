// SPDX-License-Identifier: Apache-2.0
// What the plans of a network and its clones share: weights packed once, for one device.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "../parameters.hpp"
#include "precision.hpp"

namespace dn {

// One per backend, and so per device. Holds nothing alive.
template <class T>
class SharedWeights {
public:
    // What any plan in use has packed from these parameters, while their values are the same; else what make() returns.
    template <class Make>
    std::shared_ptr<T> get(const Parameters& parameters, Precision precision, const Make& make) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end();)
            entry = entry->second.packed.expired() ? entries_.erase(entry) : std::next(entry);
        const Versions now{parameters.weights_version, parameters.statistics_version};
        Entry& shared = entries_[{&parameters, precision}];
        std::shared_ptr<T> packed = shared.packed.lock();
        if (!packed || shared.versions != now) {
            packed = make();
            shared = {packed, now};
        }
        return packed;
    }

private:
    using Versions = std::pair<std::uint64_t, std::uint64_t>;  // of the weights and of the statistics folded into them
    struct Entry {
        std::weak_ptr<T> packed;
        Versions versions;
    };

    std::mutex mutex_;
    std::map<std::pair<const Parameters*, Precision>, Entry> entries_;
};

}  // namespace dn
