// SPDX-License-Identifier: Apache-2.0
// GPUs: which there are, whether this backend can use one, and the calls of the driver with their errors.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "libraries.hpp"

namespace dn::cuda {

struct DeviceFacts {
    int index = 0;
    std::string name;
    int major = 0, minor = 0;  // compute capability
    std::size_t memory = 0;    // bytes
    std::string uuid;          // "GPU-" and 32 hexadecimal digits: the same in every process that sees it
    int arch() const {
        constexpr int kTen = 10;
        return kTen * major + minor;
    }
};

// Those that the driver lists; none without a driver.
std::vector<DeviceFacts> list_devices(const Libraries& libraries);

// False: `why` becomes the reason why device number `index` cannot be used.
bool is_available(const Libraries& libraries, int index, std::string* why);

// A GPU in use: its primary context, which it shares with other libraries of the process. Any thread may use it.
class Device {
public:
    // Throws Error(backend) if the device is not available.
    Device(std::shared_ptr<const Libraries> libraries, int index);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const DeviceFacts& facts() const { return facts_; }
    const Libraries& libraries() const { return *libraries_; }
    const abi::Driver& driver() const { return libraries_->driver; }
    const abi::Dnn& dnn() const { return libraries_->dnn; }

    struct Memory {
        std::size_t free, total;
    };
    Memory memory() const;

    // Throws Error(backend), or Error(out_of_memory), for what a call of the driver or of cuDNN returned. After an
    // error that the device does not recover from, every Entered throws it again.
    void check(int result, const char* call) const;
    void check_dnn(int status, const char* call) const;

private:
    friend class Entered;
    std::string name_of(int result) const;
    void fail(const std::string& reason) const;

    std::shared_ptr<const Libraries> libraries_;
    DeviceFacts facts_;
    abi::ContextHandle* context_ = nullptr;
    mutable std::atomic<int> broken_{0};  // the result of the call that broke it
};

// The device is the one of this thread while this object lives. Throws Error(backend) in a process forked from the one
// that made the device, and for a device that is broken.
class Entered {
public:
    explicit Entered(const Device& device);
    ~Entered();
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

private:
    const Device& device_;
};

}  // namespace dn::cuda
