// SPDX-License-Identifier: Apache-2.0
// What a plan computes with: a device with its kernels, shared by all plans of a backend, and a stream of its own.
#pragma once

#include <memory>

#include "compiler.hpp"
#include "memory.hpp"

namespace dn::cuda {

struct Engine {
    explicit Engine(int index) : device(std::make_shared<Device>(libraries(), index)), kernels(device) {}

    std::shared_ptr<Device> device;
    Kernels kernels;
};

struct Runtime {
    explicit Runtime(std::shared_ptr<Engine> shared) : engine(std::move(shared)), stream(engine->device) {}

    const std::shared_ptr<Device>& device() const { return engine->device; }

    std::shared_ptr<Engine> engine;
    Stream stream;
};

}  // namespace dn::cuda
