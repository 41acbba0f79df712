// SPDX-License-Identifier: Apache-2.0
// Weights on the device as inference plans use them: batch norm folded in, packed once, shared by plans and clones.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "memory.hpp"
#include "types.hpp"

namespace dn::cuda {

class WeightStore {
public:
    explicit WeightStore(std::shared_ptr<Device> device) : device_(std::move(device)) {}

    // Array `part` of a node, made by fill(values) of `count` floats and stored as `type`. Stays where it is.
    void* get(int node, int part, std::size_t count, DType type, const std::function<void(float*)>& fill);

private:
    std::shared_ptr<Device> device_;
    std::mutex mutex_;
    std::map<std::pair<int, int>, DeviceBuffer> arrays_;
};

}  // namespace dn::cuda
