// SPDX-License-Identifier: Apache-2.0
// Layers without a kernel on the device: to the host, the reference kernel, back.
#include "../adapt/by_reference.hpp"

#include "kernel_context.hpp"
#include "layout.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_by_reference(const Context& context) {
    return std::make_unique<ByReference<HostLayout, HostKernel>>(HostContext{context, {}}, ref::make_kernel,
                                                                 HostLayout(context.runtime.stream));
}

#define DN_BY_REFERENCE(name) \
    std::unique_ptr<Kernel> make_##name(const Context& context) { return make_by_reference(context); }
DN_BY_REFERENCE(contrastive)
DN_BY_REFERENCE(cost)
DN_BY_REFERENCE(dropout)
DN_BY_REFERENCE(empty)
DN_BY_REFERENCE(local)
#undef DN_BY_REFERENCE

}  // namespace dn::cuda
