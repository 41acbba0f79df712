// SPDX-License-Identifier: Apache-2.0
// Layers that run the reference kernel in inference.
#include "../adapt/by_reference.hpp"
#include "cpu.hpp"
#include "layout.hpp"

namespace dn::cpu {

std::unique_ptr<Kernel> make_by_reference(const Context& context, MakeKernel make) {
    return std::make_unique<ByReference<ChannelsLast>>(HostContext{context, {}}, make);
}

#define DN_BY_REFERENCE(name) \
    std::unique_ptr<Kernel> make_##name(const Context& context) { return make_by_reference(context, ref::make_##name); }
DN_BY_REFERENCE(contrastive)
DN_BY_REFERENCE(cost)
DN_BY_REFERENCE(crop)
DN_BY_REFERENCE(detection)
DN_BY_REFERENCE(dropout)
DN_BY_REFERENCE(empty)
DN_BY_REFERENCE(implicit)
DN_BY_REFERENCE(local)
DN_BY_REFERENCE(local_avgpool)
DN_BY_REFERENCE(normalization)
DN_BY_REFERENCE(region)
DN_BY_REFERENCE(reorg)
DN_BY_REFERENCE(reorg3d)
DN_BY_REFERENCE(softmax)
#undef DN_BY_REFERENCE

}  // namespace dn::cpu
