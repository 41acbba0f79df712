// SPDX-License-Identifier: Apache-2.0
// Between float32 planes (n, c, h, w) of the host and channels-last tensors of the device, by way of the host. Both
// wait for the stream.
#pragma once

#include <cstddef>

#include "memory.hpp"
#include "types.hpp"

namespace dn::cuda {

// Value i of an array of the type.
float load_value(const std::byte* values, std::size_t i, DType type);
void store_value(std::byte* values, std::size_t i, DType type, float value);

class HostLayout {
public:
    explicit HostLayout(const Stream& stream) : stream_(&stream) {}
    void to_planes(const Tensor& src, float* dst) const;
    void from_planes(const float* src, const Tensor& dst) const;

private:
    const Stream* stream_;
};

}  // namespace dn::cuda
