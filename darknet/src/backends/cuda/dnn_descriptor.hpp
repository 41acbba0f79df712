// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "device.hpp"
#include "dnn_abi.hpp"

namespace dn::cuda {

// A descriptor of cuDNN. Its functions are called by one thread at a time.
class Descriptor {
public:
    Descriptor(const Device& device, dnn_abi::DescriptorType type) : device_(&device) {
        device.check_dnn(device.dnn().cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
    }
    ~Descriptor() {
        if (descriptor_) device_->dnn().cudnnBackendDestroyDescriptor(descriptor_);
    }
    Descriptor(Descriptor&& other) noexcept
        : device_(other.device_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
    Descriptor& operator=(Descriptor&&) = delete;

    abi::Descriptor get() const { return descriptor_; }
    abi::Descriptor release() { return std::exchange(descriptor_, nullptr); }

    template <class T>
    Descriptor& set(dnn_abi::Attribute attribute, dnn_abi::AttributeType type, const std::vector<T>& values) {
        device_->check_dnn(device_->dnn().cudnnBackendSetAttribute(
                               descriptor_, attribute, type, static_cast<std::int64_t>(values.size()), values.data()),
                           "cudnnBackendSetAttribute");
        return *this;
    }
    Descriptor& set(dnn_abi::Attribute attribute, const Descriptor& other) {
        return set<abi::Descriptor>(attribute, dnn_abi::kTypeDescriptor, {other.get()});
    }
    Descriptor& set(dnn_abi::Attribute attribute, const std::vector<std::int64_t>& values) {
        return set(attribute, dnn_abi::kTypeInt64, values);
    }

    // Up to `room` values.
    template <class T>
    std::vector<T> get(dnn_abi::Attribute attribute, dnn_abi::AttributeType type, std::size_t room) const {
        std::vector<T> values(room);
        std::int64_t count = 0;
        device_->check_dnn(device_->dnn().cudnnBackendGetAttribute(
                               descriptor_, attribute, type, static_cast<std::int64_t>(room), &count, values.data()),
                           "cudnnBackendGetAttribute");
        values.resize(std::min<std::size_t>(room, static_cast<std::size_t>(count)));
        return values;
    }

    bool try_finish() { return device_->dnn().cudnnBackendFinalize(descriptor_) == dnn_abi::kSuccess; }
    Descriptor& finish() {
        device_->check_dnn(device_->dnn().cudnnBackendFinalize(descriptor_), "cudnnBackendFinalize");
        return *this;
    }

private:
    const Device* device_;
    abi::Descriptor descriptor_ = nullptr;
};

}  // namespace dn::cuda
