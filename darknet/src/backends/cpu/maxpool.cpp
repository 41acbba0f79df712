// SPDX-License-Identifier: Apache-2.0
// [maxpool]: the window is taken apart, first over its rows, then over its columns, so that a window of 13 costs 26
// comparisons and not 169.
#include <algorithm>
#include <limits>

#include "blur.hpp"
#include "cpu.hpp"
#include "elementwise.hpp"
#include "../ref/ref.hpp"

namespace dn::cpu {
namespace {

constexpr int kChannels = 128;  // a line of the image in so many channels stays in the second-level cache

class MaxPool : public Kernel {
public:
    MaxPool(const Tensor& src, const Tensor& dst, const PoolParams& params, int stride_x, int stride_y,
            Runtime& runtime)
        : src_(src), dst_(dst), size_(params.size), stride_x_(stride_x), stride_y_(stride_y),
          offset_(params.padding / 2), runtime_(runtime) {
        line_ = static_cast<std::size_t>(src.shape.w) * std::min(kChannels, src.shape.c);
        runtime_.reserve(runtime_.threads() * line_ * sizeof(float));
    }

    void forward() override {
        const int parts = (src_.shape.c + kChannels - 1) / kChannels;
        parallel_for(dst_.n * dst_.shape.h * parts, [&](int i) {
            const int row = i / parts, first = i % parts * kChannels;
            float* line = reinterpret_cast<float*>(runtime_.scratch()) + thread_index() * line_;
            const int count = std::min(kChannels, src_.shape.c - first);
            const bool any = over_rows(row / dst_.shape.h, row % dst_.shape.h, first, count, line);
            over_columns(row, first, count, line, any);
        });
    }

    std::string what() const override { return "maxpool"; }

private:
    // line[x] = the maximum over the window's rows; false when the window lies outside the image.
    bool over_rows(int image, int out_y, int first, int count, float* line) const {
        const int begin = out_y * stride_y_ - offset_;
        bool any = false;
        for (int y = std::max(begin, 0); y < std::min(begin + size_, src_.shape.h); ++y, any = true) {
            const std::size_t pixel = (static_cast<std::size_t>(image) * src_.shape.h + y) * src_.shape.w;
            const bool whole = src_.pitch == static_cast<std::size_t>(count);
            const std::size_t length = whole ? static_cast<std::size_t>(src_.shape.w) * count : count;
            for (int x = 0; x < (whole ? 1 : src_.shape.w); ++x) {
                const void* values = at(src_.data, src_.type, (pixel + x) * src_.pitch + first);
                if (any)
                    maximum(line + x * length, values, src_.type, length);
                else
                    load(line + x * length, values, src_.type, length);
            }
        }
        return any;
    }

    void over_columns(std::size_t row, int first, int count, const float* line, bool any) const {
        float best[kChannels];
        for (int out_x = 0; out_x < dst_.shape.w; ++out_x) {
            const int begin = out_x * stride_x_ - offset_;
            const int from = std::max(begin, 0), to = any ? std::min(begin + size_, src_.shape.w) : 0;
            std::fill(best, best + count, -std::numeric_limits<float>::max());
            for (int x = from; x < to; ++x)
                maximum(best, line + static_cast<std::size_t>(x) * count, DType::f32, count);
            store(at(dst_.data, dst_.type, (row * dst_.shape.w + out_x) * dst_.pitch + first), dst_.type, best, count);
        }
    }

    Tensor src_, dst_;
    int size_, stride_x_, stride_y_, offset_;
    Runtime& runtime_;
    std::size_t line_;  // floats per thread
};

}  // namespace

std::unique_ptr<Kernel> make_maxpool(const Context& context) {
    const auto& params = context.node.as<PoolParams>();
    if (params.depth) return make_by_reference(context, ref::make_maxpool);
    const Tensor& src = context.src[0];
    if (params.antialiasing == 0)
        return std::make_unique<MaxPool>(src, context.dst, params, params.stride_x, params.stride_y, context.runtime);
    const int shrink = params.padding - params.size + 1;
    return make_blurred(context, {params.antialiasing, params.stride_x, params.stride_y},
                        {src.shape.c, src.shape.h + shrink, src.shape.w + shrink}, [&](const Tensor& sharp) {
                            return std::make_unique<MaxPool>(src, sharp, params, 1, 1, context.runtime);
                        });
}

}  // namespace dn::cpu
