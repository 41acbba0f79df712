// SPDX-License-Identifier: Apache-2.0
// [scale_channels]: one factor per channel (squeeze-and-excite), or per pixel with scale_wh, then an activation.
#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class ScaleChannels : public Kernel {
public:
    explicit ScaleChannels(const Context& context)
        : factors_(context.src[0]),
          src_(context.src[1]),
          dst_(context.dst),
          per_pixel_(context.node.as<ScaleChannelsParams>().scale_wh),
          activation_(context.node.as<ScaleChannelsParams>().activation) {}

    void forward() override {
        if (!per_pixel_ && activation_ == Activation::linear && src_.type == dst_.type &&
            static_cast<std::size_t>(dst_.shape.c) <= kRow)
            scale_lines();
        else
            scale_runs();
    }

    std::string what() const override { return "scale_channels"; }

private:
    // Line by line, with the factors of its image at hand: squeeze-and-excite as it is published.
    void scale_lines() const {
        const std::size_t width = dst_.shape.w, channels = dst_.shape.c;
        parallel_for(dst_.n * dst_.shape.h, [&](int line) {
            float factors[kRow];
            load(factors, factors_, Run{static_cast<std::size_t>(line / dst_.shape.h), 0, channels});
            const Run first{line * width, 0, channels};
            scale_pixels(at(dst_.data, dst_.type, first.index(dst_)), dst_.pitch,
                         at(src_.data, src_.type, first.index(src_)), src_.pitch, dst_.type, factors, width, channels);
        });
    }

    void scale_runs() const {
        const std::size_t plane = static_cast<std::size_t>(dst_.shape.h) * dst_.shape.w;
        for_each_run(dst_, false, [&](const Run& run) {
            float x[kRow], factors[kRow];
            load(x, src_, run);
            if (per_pixel_) {
                load(factors, factors_, Run{run.pixel, 0, 1});
                scale(x, factors[0], run.count);
            } else {
                load(factors, factors_, Run{run.pixel / plane, run.channel, run.count});
                multiply(x, factors, run.count);
            }
            activate(x, run.count, activation_);
            store(dst_, run, x);
        });
    }

    Tensor factors_, src_, dst_;
    bool per_pixel_;
    Activation activation_;
};

}  // namespace

std::unique_ptr<Kernel> make_scale_channels(const Context& context) {
    if (normalizes_channels(context.node.as<ScaleChannelsParams>().activation))
        return make_by_reference(context, ref::make_scale_channels);
    return std::make_unique<ScaleChannels>(context);
}

}  // namespace dn::cpu
