// SPDX-License-Identifier: Apache-2.0
// NVIDIA's driver, NVRTC, cuDNN and NCCL for tests, in one library that is found under their names: device memory is
// memory of the host, kernels run as host_cuda runs them, and the work of a stream runs at a synchronisation and not
// before, so that a missing one gives wrong numbers.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "backends/cuda/abi.hpp"

#define DN_FAKE extern "C" __attribute__((visibility("default")))

namespace dn::fakes {

// Numbers that tests set by name with fake_set(), or in the environment of a process, as DN_FAKE_arch=80:
//   devices, arch, driver (its CUDA version), memory (bytes a device has), dnn, nccl (their versions),
//   schedule: the order of threads, a dn::test::Schedule
//   engines: how many of cuDNN's the heuristic lists at most
//   slow_engine: the number of cuDNN's engine that takes longer than others, on the clock of the fake GPU
//   eager_copies: streams that no kernel was launched on run their work at once, ahead of all others
//   fail: the result of the next synchronisation; refuse_capture: whether captures of a stream fail;
//   nccl_fail: the state of every group of NCCL
struct World {
    World();
    std::recursive_mutex mutex;
    std::map<std::string, long long> settings;
    std::map<std::string, long long> counts;  // of calls, for fake_count()
};
World& world();
long long setting(const char* name);

// Thrown by work that waits for another process: it is tried again.
struct NotReady {};

// Appends work to a stream; what else it throws is the result cuda::abi::kIllegalAddress of the next synchronisation.
void enqueue(cuda::abi::StreamHandle* stream, std::function<void()> work);

// Throws when the bytes are not all within one allocation of the device.
void need_allocated(const void* address, std::size_t bytes);

}  // namespace dn::fakes
