// SPDX-License-Identifier: Apache-2.0
// What a plan computes with: a device with its kernels, shared by all plans of a backend, and a stream, cuDNN and
// scratch memory of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "../backend.hpp"
#include "../kernel.hpp"
#include "compiler.hpp"
#include "dnn.hpp"
#include "memory.hpp"

namespace dn::cuda {

struct Engine {
    Engine(std::shared_ptr<const Libraries> libraries, int index)
        : device(std::make_shared<Device>(std::move(libraries), index)), kernels(device) {}

    std::shared_ptr<Device> device;
    Kernels kernels;
};

// Seconds of a layer's forward pass alone.
inline LayerTime time_of(const Stream& stream, int node, Kernel& kernel) {
    using Clock = std::chrono::steady_clock;
    stream.synchronize();
    const Clock::time_point start = Clock::now();
    kernel.forward();
    stream.synchronize();
    return {node, kernel.what(), std::chrono::duration<double>(Clock::now() - start).count()};
}

class Runtime {
public:
    // With a tuning, engines of convolutions are chosen by their time.
    explicit Runtime(std::shared_ptr<Engine> shared, std::optional<Tuning> tuning = std::nullopt)
        : engine(std::move(shared)), stream(engine->device), dnn(stream), tuning_(std::move(tuning)) {}

    const std::shared_ptr<Device>& device() const { return engine->device; }
    const Tuning* tuning() const { return tuning_ ? &*tuning_ : nullptr; }

    // Scratch memory that one kernel at a time uses. Kernels reserve when they are made and ask for it when they run.
    void reserve(std::size_t bytes) { scratch_bytes_ = std::max(scratch_bytes_, bytes); }
    void allocate() { scratch_ = DeviceBuffer(device(), scratch_bytes_); }
    std::byte* scratch() const { return scratch_.get<std::byte>(); }
    std::size_t scratch_bytes() const { return scratch_bytes_; }

    // Waits before memory that the stream uses is freed, or used by others after a failure.
    void finish() noexcept {
        quietly(*device(), [this](const abi::Driver&) { stream.synchronize(); });
    }

    std::shared_ptr<Engine> engine;
    Stream stream;
    DnnStream dnn;

private:
    std::optional<Tuning> tuning_;
    std::size_t scratch_bytes_ = 0;
    DeviceBuffer scratch_;
};

}  // namespace dn::cuda
