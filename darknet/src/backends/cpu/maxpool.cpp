// SPDX-License-Identifier: Apache-2.0
// [maxpool]: the window is taken apart, first over its rows, then over its columns, so that a window of 13 costs 26
// comparisons and not 169.
#include <algorithm>
#include <limits>

#include "../ref/ref.hpp"
#include "blur.hpp"
#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

constexpr int kSmallWindow = 9;  // positions; up to here taking the window apart does not pay

// Positions of a window inside the image along one axis.
struct Span {
    int first, count;
    Span(int out, int stride, int offset, int size, int limit) {
        const int begin = out * stride - offset;
        first = std::max(begin, 0);
        count = std::max(std::min(begin + size, limit) - first, 0);
    }
};

class MaxPool : public Kernel {
public:
    MaxPool(const Tensor& src, const Tensor& dst, const PoolParams& params, int stride_x, int stride_y,
            Runtime& runtime)
        : src_(src),
          dst_(dst),
          size_(params.size),
          stride_x_(stride_x),
          stride_y_(stride_y),
          offset_(params.padding / 2),
          runtime_(runtime) {
        pixel_bytes_ = src.shape.c * bytes(src.type);
        line_at_ = aligned(std::max(kSmallWindow, size_) * sizeof(void*));
        result_at_ = line_at_ + aligned(src.shape.w * pixel_bytes_);
        per_thread_ = result_at_ + aligned(pixel_bytes_);
        runtime_.reserve(runtime_.threads() * per_thread_);
    }

    void forward() override {
        parallel_for(dst_.n * dst_.shape.h, [&](int row) {
            std::byte* scratch = runtime_.scratch() + thread_index() * per_thread_;
            const Span rows(row % dst_.shape.h, stride_y_, offset_, size_, src_.shape.h);
            const int image = row / dst_.shape.h;
            const std::size_t first = (static_cast<std::size_t>(image) * src_.shape.h + rows.first) * src_.shape.w;
            const std::size_t dst_pixel = static_cast<std::size_t>(row) * dst_.shape.w;
            if (size_ * size_ <= kSmallWindow)
                pool(src_pixel(first), src_.pitch * bytes(src_.type), rows.count, dst_pixel, scratch);
            else
                pool(over_rows(first, rows.count, scratch), pixel_bytes_, std::min(rows.count, 1), dst_pixel, scratch);
        });
    }

    std::string what() const override { return "maxpool"; }

private:
    const char* src_pixel(std::size_t pixel) const {
        return static_cast<const char*>(at(src_.data, src_.type, pixel * src_.pitch));
    }

    // One line of the image: the maximum over `rows` lines from pixel `first` on.
    const char* over_rows(std::size_t first, int rows, std::byte* scratch) const {
        auto** sources = reinterpret_cast<const void**>(scratch);
        char* line = reinterpret_cast<char*>(scratch + line_at_);
        if (rows == 0) return line;
        const int steps = src_.dense() ? 1 : src_.shape.w;
        const std::size_t count = src_.dense() ? static_cast<std::size_t>(src_.shape.w) * src_.shape.c : src_.shape.c;
        for (int x = 0; x < steps; ++x) {
            for (int y = 0; y < rows; ++y)
                sources[y] = src_pixel(first + static_cast<std::size_t>(y) * src_.shape.w + x);
            maximum(line + x * pixel_bytes_, sources, rows, src_.type, count);
        }
        return line;
    }

    // A line of the output from `rows` lines of `pixel`-sized pixels.
    void pool(const char* lines, std::size_t pixel, int rows, std::size_t dst_pixel, std::byte* scratch) const {
        auto** sources = reinterpret_cast<const void**>(scratch);
        for (int out_x = 0; out_x < dst_.shape.w; ++out_x) {
            const Span columns(out_x, stride_x_, offset_, size_, src_.shape.w);
            int count = 0;
            for (int y = 0; y < rows; ++y)
                for (int x = 0; x < columns.count; ++x)
                    sources[count++] = lines + (static_cast<std::size_t>(y) * src_.shape.w + columns.first + x) * pixel;
            write(dst_pixel + out_x, sources, count, scratch + result_at_);
        }
    }

    void write(std::size_t pixel, const void* const* sources, int count, std::byte* result) const {
        void* dst = at(dst_.data, dst_.type, pixel * dst_.pitch);
        const std::size_t channels = dst_.shape.c;
        if (count > 0 && src_.type == dst_.type) return maximum(dst, sources, count, src_.type, channels);
        if (count > 0) maximum(result, sources, count, src_.type, channels);
        float row[kRow];
        for (std::size_t c = 0; c < channels; c += kRow) {
            const std::size_t part = std::min(kRow, channels - c);
            std::fill(row, row + part, -std::numeric_limits<float>::max());  // a window wholly outside
            if (count > 0) load(row, at(result, src_.type, c), src_.type, part);
            store(at(dst, dst_.type, c), dst_.type, row, part);
        }
    }

    Tensor src_, dst_;
    int size_, stride_x_, stride_y_, offset_;
    Runtime& runtime_;
    std::size_t pixel_bytes_;
    std::size_t line_at_, result_at_, per_thread_;  // in the scratch area, after the pointers
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
