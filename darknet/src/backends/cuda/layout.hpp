// SPDX-License-Identifier: Apache-2.0
// Between float32 planes (n, c, h, w) of the host and channels-last tensors of the device, by way of the host. Both
// wait for the stream.
#pragma once

#include "../../tensor.hpp"
#include "memory.hpp"

namespace dn::cuda {

class HostLayout {
public:
    explicit HostLayout(const Stream& stream) : stream_(&stream) {}
    void to_planes(const Tensor& src, float* dst) const;
    void from_planes(const float* src, const Tensor& dst) const;

private:
    const Stream* stream_;
};

}  // namespace dn::cuda
