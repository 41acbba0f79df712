// SPDX-License-Identifier: Apache-2.0
// [crop]: the middle of the image; y = 2x - 1 unless noadjust is set.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Crop : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const bool adjust = !node().as<CropParams>().noadjust;
        const Shape in = src_shape(), out = node().out;
        const int top = (in.h - out.h) / 2, left = (in.w - out.w) / 2;
        for (int n = 0; n < batch(); ++n) {
            float* y = dst(n);
            for (int c = 0; c < out.c; ++c)
                for (int i = 0; i < out.h; ++i) {
                    const float* row = src(n) + (std::size_t{1} * c * in.h + top + i) * in.w + left;
                    for (int j = 0; j < out.w; ++j) *y++ = adjust ? 2 * row[j] - 1 : row[j];
                }
        }
    }

    void backward() override {}  // nothing passes, as in Darknet: a crop stands in front of all that learns
};

}  // namespace

std::unique_ptr<Kernel> make_crop(const HostContext& context) { return std::make_unique<Crop>(context); }

}  // namespace dn::ref
