// SPDX-License-Identifier: Apache-2.0
#include "layer_kernels.hpp"

#include <algorithm>

#include "train/state.hpp"

namespace dn::cuda {

const float* parameter(const Context& context, Role role) {
    if (context.state) return context.state->parameters(context.node.index, role);
    const int owner = weights_owner(context.graph, context.node.index);
    const Floats& values = context.params->array(role);
    return static_cast<const float*>(
        context.weights.get(owner, static_cast<int>(role), values.size(), DType::f32,
                            [&](float* out) { std::copy(values.begin(), values.end(), out); }));
}

}  // namespace dn::cuda
