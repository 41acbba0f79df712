// SPDX-License-Identifier: Apache-2.0
#define DN_ENTRY(name, Args, body)              \
    static void name(const Args a) { body(a); } \
    static const dn::test::RegisteredKernel registered_##name{#name, sizeof(Args), dn::test::call<Args, name>};
#include "host_kernels.hpp"

#include "backends/cuda/kernels/activations.cuh"
#include "backends/cuda/kernels/batch_norm.cuh"
#include "backends/cuda/kernels/channels.cuh"
#include "backends/cuda/kernels/compose.cuh"
#include "backends/cuda/kernels/heads.cuh"
#include "backends/cuda/kernels/image.cuh"
#include "backends/cuda/kernels/losses.cuh"
#include "backends/cuda/kernels/move.cuh"
#include "backends/cuda/kernels/pool.cuh"
#include "backends/cuda/kernels/update.cuh"

namespace dn::test {
namespace {

std::vector<HostKernel>& registered() {
    static std::vector<HostKernel> kernels;
    return kernels;
}

}  // namespace

RegisteredKernel::RegisteredKernel(std::string_view name, std::size_t argument_size, void (*call)(void** arguments)) {
    registered().push_back({name, argument_size, call});
}

const HostKernel* find_kernel(std::string_view name) {
    for (const HostKernel& kernel : registered())
        if (kernel.name == name) return &kernel;
    return nullptr;
}

const std::vector<HostKernel>& all_kernels() { return registered(); }

}  // namespace dn::test
