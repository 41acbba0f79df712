// SPDX-License-Identifier: Apache-2.0
// [normalization]: local response normalisation.
#include "kernels/channels.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

class ResponseNormalization : public Launches {
public:
    explicit ResponseNormalization(const Context& context) : Launches(context, "normalization") {
        const auto& params = context.node.as<NormalizationParams>();
        if (!context.kept.norms) norms_ = DeviceBuffer(context.runtime.device(), context.dst.size() * sizeof(float));
        const long long pixels = pixels_of(context.dst);
        add(kernel::normalize_response, context.dst.type, pixels,
            ResponseArgs{view_of(context.src[0]),
                         view_of(context.dst),
                         {},
                         {},
                         context.kept.norms ? context.kept.norms : norms_.get<float>(),
                         pixels,
                         context.dst.shape.c,
                         params.size,
                         params.alpha,
                         params.beta,
                         params.kappa,
                         false});
    }

private:
    DeviceBuffer norms_;
};

}  // namespace

std::unique_ptr<Kernel> make_normalization(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    return std::make_unique<ResponseNormalization>(context);
}

}  // namespace dn::cuda
