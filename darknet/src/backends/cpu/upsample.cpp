// SPDX-License-Identifier: Apache-2.0
// [upsample]: every pixel repeated; with a negative stride the sum over blocks.
#include <cstring>

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class Upsample : public Kernel {
public:
    explicit Upsample(const Context& context)
        : src_(context.src[0]),
          dst_(context.dst),
          stride_(context.node.as<UpsampleParams>().stride),
          scale_(context.node.as<UpsampleParams>().scale) {}

    void forward() override {
        parallel_for(dst_.n * dst_.shape.h, [&](int i) {
            const int image = i / dst_.shape.h, y = i % dst_.shape.h;
            for (int x = 0; x < dst_.shape.w; ++x)
                for (std::size_t c = 0; c < static_cast<std::size_t>(dst_.shape.c); c += kRow)
                    compute(image, y, x, c, std::min(kRow, dst_.shape.c - c));
        });
    }

    std::string what() const override { return "upsample"; }

private:
    std::size_t src_pixel(int image, int y, int x) const {
        return (static_cast<std::size_t>(image) * src_.shape.h + y) * src_.shape.w + x;
    }

    void compute(int image, int y, int x, std::size_t channel, std::size_t count) const {
        const Run to{(static_cast<std::size_t>(image) * dst_.shape.h + y) * dst_.shape.w + x, channel, count};
        const Run from{src_pixel(image, y / std::max(stride_, 1), x / std::max(stride_, 1)), channel, count};
        if (stride_ > 0 && scale_ == 1 && src_.type == dst_.type) {
            std::memcpy(at(dst_.data, dst_.type, to.index(dst_)), at(src_.data, src_.type, from.index(src_)),
                        count * bytes(dst_.type));
            return;
        }
        float sum[kRow];
        if (stride_ > 0)
            load(sum, src_, from);
        else
            sum_block(sum, image, y, x, channel, count);
        scale(sum, scale_, count);
        store(dst_, to, sum);
    }

    void sum_block(float* sum, int image, int y, int x, std::size_t channel, std::size_t count) const {
        std::fill(sum, sum + count, 0.0f);
        float row[kRow];
        for (int dy = 0; dy < -stride_; ++dy)
            for (int dx = 0; dx < -stride_; ++dx) {
                load(row, src_, Run{src_pixel(image, y * -stride_ + dy, x * -stride_ + dx), channel, count});
                add(sum, row, count);
            }
    }

    Tensor src_, dst_;
    int stride_;
    float scale_;
};

}  // namespace

std::unique_ptr<Kernel> make_upsample(const Context& context) { return std::make_unique<Upsample>(context); }

}  // namespace dn::cpu
