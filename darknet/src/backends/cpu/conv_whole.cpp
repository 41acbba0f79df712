// SPDX-License-Identifier: Apache-2.0
// A convolution in two passes: oneDNN's sums over the whole batch in float32, then what follows them.
#include "conv_primitive.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

Tensor as_float(Tensor tensor) {
    tensor.type = DType::f32;
    return tensor;
}

class WholeConvolution : public Kernel {
public:
    explicit WholeConvolution(const ConvTask& task)
        : runtime_(task.runtime),
          src_(task.src),
          operand_(task.operand()),
          reads_source_(task.reads_source()),
          dst_(task.dst),
          residual_(task.residual),
          finish_(task.finish),
          primitive_(task.runtime, task.geometry, describe(src_.n, src_.shape, operand_.type),
                     describe(dst_.n, dst_.shape, DType::f32), {}),
          call_(primitive_, primitive_.pack_weights(task), ConvPrimitive::pack_biases(task)) {
        sums_at_ = reads_source_ ? 0 : dense_bytes(operand_);
        scratch_at_ = sums_at_ + dense_bytes(as_float(dst_));
        runtime_.reserve(scratch_at_ + primitive_.scratch_size());
    }

    void forward() override {
        std::byte* scratch = runtime_.scratch();
        Tensor src = src_;
        if (!reads_source_) copy_channels(src_, 0, src = dense_at(operand_, scratch));
        float* sums = reinterpret_cast<float*>(scratch + sums_at_);
        call_.run(src.data, sums, scratch + scratch_at_);
        const std::size_t width = dst_.shape.w, channels = dst_.shape.c;
        parallel_for(dst_.n * dst_.shape.h, [&](int row) {
            const std::size_t pixel = row * width;
            finish_pixels(pixels_of(dst_, residual_, sums + pixel * channels, pixel, width), finish_);
        });
    }

    std::string what() const override { return primitive_.what() + "+finish"; }

private:
    Runtime& runtime_;
    Tensor src_, operand_;
    bool reads_source_;
    Tensor dst_, residual_;
    Finish finish_;
    ConvPrimitive primitive_;
    ConvCall call_;
    std::size_t sums_at_, scratch_at_;  // in the scratch area, after a dense copy of src
};

}  // namespace

std::unique_ptr<Kernel> make_whole_convolution(const ConvTask& task) {
    return std::make_unique<WholeConvolution>(task);
}

}  // namespace dn::cpu
