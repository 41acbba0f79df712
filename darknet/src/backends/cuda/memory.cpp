// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <unistd.h>

#include <utility>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

abi::Address address_of(const void* pointer) { return reinterpret_cast<abi::Address>(pointer); }

}  // namespace

std::string megabytes(std::size_t bytes) {
    constexpr std::size_t kMegabyte = 1 << 20;
    return text((bytes + kMegabyte - 1) / kMegabyte, " MB");
}

DeviceBuffer::DeviceBuffer(const std::shared_ptr<Device>& device, std::size_t bytes) : device_(device), bytes_(bytes) {
    if (!bytes) return;
    const Entered here(*device);
    const int result = device->driver().cuMemAlloc_v2(&address_, bytes);
    if (result == abi::kOutOfMemory) {
        const Device::Memory memory = device->memory();
        throw Error(
            Status::out_of_memory, text("cuda:", device->facts().index),
            text("found ", megabytes(memory.free), " of ", megabytes(memory.total), " free on the GPU, expected ",
                 megabytes(bytes), "; use a smaller batch, more subdivisions or a smaller input size"));
    }
    device->check(result, "cuMemAlloc");
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    device_ = std::move(other.device_);
    address_ = std::exchange(other.address_, 0);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
}

void DeviceBuffer::release() noexcept {
    if (!address_) return;
    quietly(*device_, [this](const abi::Driver& driver) { driver.cuMemFree_v2(address_); });
    address_ = 0;
}

PinnedBuffer::PinnedBuffer(const std::shared_ptr<Device>& device, std::size_t bytes) : device_(device), bytes_(bytes) {
    if (!bytes) return;
    const Entered here(*device);
    const int result = device->driver().cuMemHostAlloc(&data_, bytes, 0);
    if (result == abi::kOutOfMemory)
        throw Error(Status::out_of_memory, text("cuda:", device->facts().index),
                    text("the system gives no page-locked memory of ", megabytes(bytes), "; use a smaller batch"));
    device->check(result, "cuMemHostAlloc");
}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    device_ = std::move(other.device_);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
}

void PinnedBuffer::release() noexcept {
    if (!data_) return;
    quietly(*device_, [this](const abi::Driver& driver) { driver.cuMemFreeHost(data_); });
    data_ = nullptr;
}

Stream::Stream(const std::shared_ptr<Device>& device) : device_(device) {
    const Entered here(*device);
    device->check(device->driver().cuStreamCreate(&stream_, abi::kStreamNonBlocking), "cuStreamCreate");
}

Stream::~Stream() {
    quietly(*device_, [this](const abi::Driver& driver) {
        driver.cuStreamSynchronize(stream_);
        driver.cuStreamDestroy_v2(stream_);
    });
}

void Stream::upload(const void* host, void* device, std::size_t bytes) const {
    device_->check(device_->driver().cuMemcpyHtoDAsync_v2(address_of(device), host, bytes, stream_),
                   "cuMemcpyHtoDAsync");
}

void Stream::download(const void* device, void* host, std::size_t bytes) const {
    device_->check(device_->driver().cuMemcpyDtoHAsync_v2(host, address_of(device), bytes, stream_),
                   "cuMemcpyDtoHAsync");
}

void Stream::copy(const void* from, void* to, std::size_t bytes) const {
    device_->check(device_->driver().cuMemcpyDtoDAsync_v2(address_of(to), address_of(from), bytes, stream_),
                   "cuMemcpyDtoDAsync");
}

void Stream::clear(void* device, std::size_t bytes) const {
    device_->check(device_->driver().cuMemsetD8Async(address_of(device), 0, bytes, stream_), "cuMemsetD8Async");
}

void Stream::synchronize() const {
    device_->check(device_->driver().cuStreamSynchronize(stream_), "cuStreamSynchronize");
}

void Stream::wait_for(const Event& event) const {
    device_->check(device_->driver().cuStreamWaitEvent(stream_, event.event_, 0), "cuStreamWaitEvent");
}

Event::Event(const std::shared_ptr<Device>& device, bool timed) : device_(device) {
    const Entered here(*device);
    const unsigned flags = timed ? abi::kEventDefault : abi::kEventDisableTiming;
    device->check(device->driver().cuEventCreate(&event_, flags), "cuEventCreate");
}

Event::~Event() {
    quietly(*device_, [this](const abi::Driver& driver) { driver.cuEventDestroy_v2(event_); });
}

void Event::record(const Stream& stream) const {
    device_->check(device_->driver().cuEventRecord(event_, stream.handle()), "cuEventRecord");
}

void Event::wait() const { device_->check(device_->driver().cuEventSynchronize(event_), "cuEventSynchronize"); }

double Event::seconds_since(const Event& earlier) const {
    constexpr double kSecond = 1e-3;
    float milliseconds = 0;
    device_->check(device_->driver().cuEventElapsedTime(&milliseconds, earlier.event_, event_), "cuEventElapsedTime");
    return milliseconds * kSecond;
}

}  // namespace dn::cuda
