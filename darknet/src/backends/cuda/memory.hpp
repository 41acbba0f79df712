// SPDX-License-Identifier: Apache-2.0
// Owners of what a device gives out: memory, page-locked memory of the host, streams, events.
#pragma once

#include <cstddef>
#include <memory>

#include "device.hpp"

namespace dn::cuda {

// Frees without errors: the owner is at its end.
template <class Call>
void quietly(const Device& device, const Call& call) noexcept {
    try {
        const Entered here(device);
        call(device.driver());
    } catch (...) {
        // A broken device, or one of the parent process, has nothing left to free.
    }
}

// Rounded up: "12 MB".
std::string megabytes(std::size_t bytes);

// Memory of the device. Its bytes are undefined until they are written.
class DeviceBuffer {
public:
    DeviceBuffer() = default;
    // Throws Error(out_of_memory) that names the bytes asked for, free and installed.
    DeviceBuffer(const std::shared_ptr<Device>& device, std::size_t bytes);
    ~DeviceBuffer() { release(); }
    DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
    DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

    std::size_t bytes() const { return bytes_; }
    abi::Address address() const { return address_; }
    // As an address that kernels take; the host must not read it.
    template <class T = void>
    T* get() const {
        return reinterpret_cast<T*>(address_);  // NOLINT(performance-no-int-to-ptr): the driver's are integers
    }

private:
    void release() noexcept;

    std::shared_ptr<Device> device_;
    abi::Address address_ = 0;
    std::size_t bytes_ = 0;
};

// Memory of the host that copies to and from the device run beside other work.
class PinnedBuffer {
public:
    PinnedBuffer() = default;
    PinnedBuffer(const std::shared_ptr<Device>& device, std::size_t bytes);
    ~PinnedBuffer() { release(); }
    PinnedBuffer(PinnedBuffer&& other) noexcept { *this = std::move(other); }
    PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;

    std::size_t bytes() const { return bytes_; }
    template <class T>
    T* get() const {
        return static_cast<T*>(data_);
    }

private:
    void release() noexcept;

    std::shared_ptr<Device> device_;
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

class Event;

// Work of the device in order. It returns at once from all but synchronize().
class Stream {
public:
    explicit Stream(const std::shared_ptr<Device>& device);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    Device& device() const { return *device_; }
    const std::shared_ptr<Device>& shared_device() const { return device_; }
    abi::StreamHandle* handle() const { return stream_; }

    // The memory of the host must live, and stay as it is, until synchronize(). Pointers on the device are addresses.
    void upload(const void* host, void* device, std::size_t bytes) const;
    void download(const void* device, void* host, std::size_t bytes) const;
    void copy(const void* from, void* to, std::size_t bytes) const;
    void clear(void* device, std::size_t bytes) const;
    void synchronize() const;
    // Work from here on waits for the event as it was recorded last; not at all for one that never was.
    void wait_for(const Event& event) const;

private:
    std::shared_ptr<Device> device_;
    abi::StreamHandle* stream_ = nullptr;
};

// A point in the work of a stream, with the time at which it was reached if it is `timed`.
class Event {
public:
    explicit Event(const std::shared_ptr<Device>& device, bool timed = false);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(const Stream& stream) const;
    // Until the work in front of it is done; at once for an event that was never recorded.
    void wait() const;
    // Both are timed and were recorded, and the stream was synchronized since.
    double seconds_since(const Event& earlier) const;

private:
    friend class Stream;
    std::shared_ptr<Device> device_;
    abi::EventHandle* event_ = nullptr;
};

}  // namespace dn::cuda
