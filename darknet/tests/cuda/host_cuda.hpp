// SPDX-License-Identifier: Apache-2.0
// Runs a kernel's own source on the host. Each CUDA thread is a fibre; barriers and shuffles are where fibres change.
// A launch runs under one of three schedules: results that depend on it come from a race.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace dn::test {

// Blocks begun on this thread of the host.
unsigned long long block_serial();

// Shared memory of a block: NaN until it is written, with checked indices.
template <class T, int count>
class SharedArray {
public:
    void enter() {
        if (serial_ == block_serial()) return;
        serial_ = block_serial();
        std::memset(values_, 0xFF, sizeof values_);
    }
    T& operator[](int index) {
        if (index < 0 || index >= count)
            throw std::runtime_error("index " + std::to_string(index) + " of shared memory for " +
                                     std::to_string(count) + " values");
        return values_[index];
    }

private:
    T values_[count];
    unsigned long long serial_;
};

}  // namespace dn::test

#define DN_SHARED(type, name, count)                             \
    static thread_local dn::test::SharedArray<type, count> name; \
    name.enter()
#include "backends/cuda/kernels/portable.cuh"

namespace dn::test {

// The order of blocks, and of the threads of a block between two barriers.
enum class Schedule { ascending, descending, shuffled };
inline constexpr Schedule kSchedules[] = {Schedule::ascending, Schedule::descending, Schedule::shuffled};

struct LaunchOptions {
    Schedule schedule = Schedule::shuffled;
    int skipped_barrier = -1;  // a planted race: each thread passes its __syncthreads of this number, from 0, at once
};

// Runs body() for each thread. Throws std::runtime_error for a barrier that some threads miss and for an access outside
// of shared memory. Threads of the host may launch at the same time.
void launch(cuda::Dim3 grid, cuda::Dim3 block, const std::function<void()>& body, const LaunchOptions& options = {});

// An exported kernel.
struct HostKernel {
    std::string_view name;      // "dn_activate_f32"
    std::size_t argument_size;  // bytes of its one argument
    // The work of one thread, for launch(). As for cuLaunchKernel, arguments[0] points to the argument.
    void (*call)(void** arguments);
};

struct RegisteredKernel {
    RegisteredKernel(std::string_view name, std::size_t argument_size, void (*call)(void** arguments));
};

template <class Args, void (*kernel)(Args)>
void call(void** arguments) {
    kernel(*static_cast<const Args*>(arguments[0]));
}

}  // namespace dn::test
