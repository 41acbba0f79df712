// SPDX-License-Identifier: Apache-2.0
// [avgpool]: the mean of every channel over the whole image.
#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class AvgPool : public Kernel {
public:
    explicit AvgPool(const Context& context) : src_(context.src[0]), dst_(context.dst) {}

    void forward() override {
        constexpr int kChannels = 64;
        const int parts = (src_.shape.c + kChannels - 1) / kChannels;
        parallel_for(src_.n * parts, [&](int i) {
            const int first = i % parts * kChannels;
            mean(i / parts, first, std::min(kChannels, src_.shape.c - first));
        });
    }

    std::string what() const override { return "avgpool"; }

private:
    void mean(std::size_t image, std::size_t channel, std::size_t count) const {
        const std::size_t plane = static_cast<std::size_t>(src_.shape.h) * src_.shape.w;
        float sum[kRow] = {};
        const Run first{image * plane, channel, count};
        add_pixels(sum, at(src_.data, src_.type, first.index(src_)), src_.type, src_.pitch, plane, count);
        scale(sum, 1.0f / plane, count);
        store(dst_, Run{image, channel, count}, sum);
    }

    Tensor src_, dst_;
};

}  // namespace

std::unique_ptr<Kernel> make_avgpool(const Context& context) { return std::make_unique<AvgPool>(context); }

}  // namespace dn::cpu
