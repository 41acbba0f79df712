// SPDX-License-Identifier: Apache-2.0
#include "store.hpp"

#include "layout.hpp"

namespace dn::cuda {

void* WeightStore::get(int node, int part, std::size_t count, DType type, const std::function<void(float*)>& fill) {
    const std::lock_guard<std::mutex> lock(mutex_);
    DeviceBuffer& array = arrays_[{node, part}];
    if (array.bytes()) return array.get();
    std::vector<float> values(count);
    fill(values.data());
    std::vector<std::byte> packed(count * bytes(type));
    for (std::size_t i = 0; i < count; ++i) store_value(packed.data(), i, type, values[i]);
    const Stream stream(device_);
    DeviceBuffer made(device_, packed.size());
    const Entered here(*device_);
    stream.upload(packed.data(), made.get(), packed.size());
    stream.synchronize();
    array = std::move(made);
    return array.get();
}

}  // namespace dn::cuda
