// SPDX-License-Identifier: Apache-2.0
#include "blur.hpp"

#include <optional>

#include "conv_primitive.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

Tensor dense_tensor(int n, Shape shape, DType type, void* data) {
    Tensor tensor;
    tensor.data = data;
    tensor.type = type;
    tensor.n = n;
    tensor.shape = shape;
    tensor.pitch = shape.c;
    return tensor;
}

ConvGeometry geometry_of(const BlurParams& params, int channels) {
    const bool three = params.mode == 1;
    return {channels, three ? 3 : 2, params.stride_x, params.stride_y, three ? 1 : 0, three ? 1 : 0, 1};
}

Floats blur_weights(const BlurParams& params, int channels) {
    static const float kThree[] = {1, 2, 1, 2, 4, 2, 1, 2, 1};
    Floats weights;
    for (int c = 0; c < channels; ++c)
        for (int i = 0; i < (params.mode == 1 ? 9 : 4); ++i)
            weights.push_back(params.mode == 1 ? kThree[i] / 16 : 0.25f);
    return weights;
}

class Blurred : public Kernel {
public:
    Blurred(const Context& context, const BlurParams& params, Shape sharp)
        : runtime_(context.runtime),
          type_(multiplied_as(context.dst.type)),
          before_blur_memory_(context.batch * sharp.size() * bytes(type_)),
          blurred_memory_(context.batch * context.dst.shape.size() * bytes(type_)),
          before_blur_(dense_tensor(context.batch, sharp, type_, before_blur_memory_.data())),
          blurred_(dense_tensor(context.batch, context.dst.shape, type_, blurred_memory_.data())),
          dst_(context.dst),
          biases_(sharp.c, 0.0f),
          blur_(context.runtime, geometry_of(params, sharp.c), describe(before_blur_), describe(blurred_), {}) {
        Floats plain = blur_weights(params, sharp.c);
        dnnl::memory source(ConvPrimitive::plain_weights(geometry_of(params, sharp.c), sharp.c, sharp.c),
                            runtime_.engine(), plain.data());
        dnnl::memory weights(blur_.weights_desc(), runtime_.engine());
        dnnl::reorder(source, weights).execute(runtime_.stream(), source, weights);
        runtime_.stream().wait();
        call_.emplace(blur_, weights, biases_.data());
        runtime_.reserve(blur_.scratch_size());
    }

    void compute_first(std::unique_ptr<Kernel> layer) { layer_ = std::move(layer); }
    const Tensor& sharp() const { return before_blur_; }

    void forward() override {
        layer_->forward();
        call_->run(before_blur_.data, blurred_.data, runtime_.scratch());
        copy_channels(blurred_, 0, dst_);
    }

    std::string what() const override { return layer_->what() + "+" + blur_.what(); }

private:
    Runtime& runtime_;
    DType type_;
    AlignedBuffer before_blur_memory_, blurred_memory_;
    Tensor before_blur_, blurred_, dst_;
    Floats biases_;
    ConvPrimitive blur_;
    std::optional<ConvCall> call_;
    std::unique_ptr<Kernel> layer_;
};

}  // namespace

std::unique_ptr<Kernel> make_blurred(const Context& context, const BlurParams& params, Shape sharp,
                                     const std::function<std::unique_ptr<Kernel>(const Tensor& dst)>& make) {
    auto blurred = std::make_unique<Blurred>(context, params, sharp);
    blurred->compute_first(make(blurred->sharp()));
    return blurred;
}

}  // namespace dn::cpu
