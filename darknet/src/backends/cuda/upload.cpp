// SPDX-License-Identifier: Apache-2.0
#include "upload.hpp"

namespace dn::cuda {

Upload::Upload(const std::shared_ptr<Device>& device, std::size_t bytes)
    : values_{PinnedBuffer(device, bytes), PinnedBuffer(device, bytes)},
      sent_{Event(device), Event(device)},
      device_values_(device, bytes),
      used_(device),
      stream_(device) {}

void* Upload::host() const {
    sent_[turn_].wait();
    return values_[turn_].get<void>();
}

void Upload::send(std::size_t bytes) {
    stream_.wait_for(used_);
    stream_.upload(values_[turn_].get<void>(), device_values_.get(), bytes);
    sent_[turn_].record(stream_);
    turn_ = 1 - turn_;
}

}  // namespace dn::cuda
