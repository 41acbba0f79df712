// SPDX-License-Identifier: Apache-2.0
// [avgpool]: the mean of each channel.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Avgpool : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const Shape in = src_shape();
        const std::size_t pixels = std::size_t{1} * in.h * in.w;
        for (int i = 0; i < batch(); ++i)
            for (int c = 0; c < in.c; ++c) {
                const float* plane = src(i) + c * pixels;
                double sum = 0;
                for (std::size_t p = 0; p < pixels; ++p) sum += plane[p];
                dst(i)[c] = static_cast<float>(sum / pixels);
            }
    }

    void backward() override {
        const std::size_t pixels = std::size_t{1} * src_shape().h * src_shape().w;
        for (int i = 0; i < batch() && dsrc(0); ++i)
            for (int c = 0; c < src_shape().c; ++c)
                for (std::size_t p = 0; p < pixels; ++p) dsrc(i)[c * pixels + p] += ddst(i)[c] / pixels;
    }
};

}  // namespace

std::unique_ptr<Kernel> make_avgpool(const HostContext& context) { return std::make_unique<Avgpool>(context); }

}  // namespace dn::ref
