// SPDX-License-Identifier: Apache-2.0
// Launches of kernels with the arguments that their declarations have.
#pragma once

#include <algorithm>

#include "../../error.hpp"
#include "../kernel.hpp"
#include "kernels/portable.cuh"
#include "runtime.hpp"
#include "types.hpp"

namespace dn::cuda {

inline const char* suffix_of(DType type) { return type == DType::f32 ? "_f32" : type == DType::f16 ? "_f16" : "_bf16"; }

inline View view_of(const Tensor& tensor) { return {tensor.data, static_cast<long long>(tensor.pitch)}; }

inline long long pixels_of(const Tensor& tensor) { return 1LL * tensor.n * tensor.shape.h * tensor.shape.w; }

// The channels of a tensor from number `first` on.
inline Tensor from_channel(Tensor tensor, int first) {
    tensor.data = static_cast<std::byte*>(tensor.data) + first * bytes(tensor.type);
    tensor.shape.c -= first;
    return tensor;
}

struct Grid {
    unsigned x = 1, y = 1, z = 1;
};

// Blocks for `count` channels or pixels, a lane each.
inline unsigned tiles_of(int count) { return static_cast<unsigned>((count + kLanes - 1) / kLanes); }

// For a loop over as many values by all threads.
inline Grid grid_for(long long values) {
    constexpr long long kMostBlocks = 1 << 16;
    return {static_cast<unsigned>(std::clamp((values + kThreads - 1) / kThreads, 1LL, kMostBlocks))};
}

// A kernel for one storage type, made once and launched many times; a kernel without one is part of the program of that
// type. Kernels::load_declared() loads it, or the first launch.
template <class Args>
class Launch {
public:
    Launch() = default;
    Launch(Engine& engine, const Stream& stream, const KernelName<Args>& kernel, DType type)
        : stream_(&stream),
          kernels_(&engine.kernels),
          function_(&engine.kernels.declare({kernel.program, type},
                                            text(kernel.name, kernel.typed ? suffix_of(type) : ""))) {}
    Launch(const Runtime& runtime, const KernelName<Args>& kernel, DType type)
        : Launch(*runtime.engine, runtime.stream, kernel, type) {}

    void operator()(Grid grid, const Args& args) const {
        Args copy = args;
        void* arguments[] = {&copy};
        const Device& device = stream_->device();
        device.check(device.driver().cuLaunchKernel(kernels_->handle_of(*function_), grid.x, grid.y, grid.z, kThreads,
                                                    1, 1, 0, stream_->handle(), arguments, nullptr),
                     "cuLaunchKernel");
    }
    void operator()(long long values, const Args& args) const { (*this)(grid_for(values), args); }

private:
    const Stream* stream_ = nullptr;
    Kernels* kernels_ = nullptr;
    Function* function_ = nullptr;
};

}  // namespace dn::cuda
