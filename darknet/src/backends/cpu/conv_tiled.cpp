// SPDX-License-Identifier: Apache-2.0
// A convolution strip by strip. Each thread computes the sums of a few rows, in float32, in its own part of the scratch
// area, and finishes them while they are in its cache: activation, residual and a write of any pitch cost no trip to
// memory. Strips that differ in their padding or height have primitives of their own.
#include <map>
#include <tuple>

#include "conv_primitive.hpp"
#include "layout.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kStripBytes = 512 << 10;    // of sums: half a small second-level cache
constexpr std::size_t kWeightsBytes = 640 << 10;  // above, reading them for every strip costs more than it saves

struct Strip {
    int image, first, rows;  // of the output
    int src_first, src_rows;
    std::size_t primitive;
};

class TiledConvolution : public Kernel {
public:
    explicit TiledConvolution(const ConvTask& task)
        : runtime_(task.runtime),
          src_(task.src),
          operand_(task.operand_type()),
          reads_source_(task.reads_source()),
          dst_(task.dst),
          residual_(task.residual),
          finish_(task.finish) {
        make_strips(task);
        std::size_t oneDnn = 0;
        for (const ConvPrimitive& primitive : primitives_) {
            oneDnn = std::max(oneDnn, primitive.scratch_size());
            calls_.emplace_back();
            for (int thread = 0; thread < runtime_.threads(); ++thread)
                calls_.back().emplace_back(primitive, primitive.pack_weights(task), ConvPrimitive::pack_biases(task));
        }
        for (const Strip& strip : strips_) {
            const std::size_t src = reads_source_ ? 0 : src_row_bytes() * strip.src_rows;
            sums_at_ = std::max(sums_at_, aligned(src));
            scratch_at_ = std::max(scratch_at_, aligned(strip.rows * row_floats() * sizeof(float)));
        }
        scratch_at_ += sums_at_;
        per_thread_ = aligned(scratch_at_ + oneDnn);
        runtime_.reserve(per_thread_ * runtime_.threads());
    }

    void forward() override {
        parallel_tasks(static_cast<int>(strips_.size()), [&](int i) { compute(strips_[i], thread_index()); });
    }

    std::string what() const override { return primitives_[0].what() + "+tiles"; }

private:
    std::size_t row_floats() const { return static_cast<std::size_t>(dst_.shape.w) * dst_.shape.c; }
    std::size_t src_row_bytes() const {
        return static_cast<std::size_t>(src_.shape.w) * src_.shape.c * bytes(operand_);
    }

    void make_strips(const ConvTask& task) {
        const ConvGeometry& geometry = task.geometry;
        const int height = dst_.shape.h;
        const int fit = std::max<int>(1, static_cast<int>(kStripBytes / (row_floats() * sizeof(float))));
        const int share = std::max(1, dst_.n * height / (2 * runtime_.threads()));  // enough strips for all threads
        const int strips = (height + std::min(fit, share) - 1) / std::min(fit, share);
        const int rows = (height + strips - 1) / strips;
        std::map<std::tuple<int, int, int>, std::size_t> known;  // by rows, source rows, padding above
        for (int image = 0; image < dst_.n; ++image)
            for (int first = 0; first < height; first += rows) {
                Strip strip{image, first, std::min(rows, height - first), 0, 0, 0};
                const int begin = first * geometry.stride_y - geometry.pad_y;
                const int end =
                    begin + (strip.rows - 1) * geometry.stride_y + (geometry.size - 1) * geometry.dilation + 1;
                strip.src_first = std::max(begin, 0);
                strip.src_rows = std::min(end, src_.shape.h) - strip.src_first;
                const int above = strip.src_first - begin;
                const auto [entry, is_new] = known.try_emplace({strip.rows, strip.src_rows, above}, primitives_.size());
                if (is_new) primitives_.push_back(make_primitive(task, strip, above));
                strip.primitive = entry->second;
                strips_.push_back(strip);
            }
    }

    ConvPrimitive make_primitive(const ConvTask& task, const Strip& strip, int above) const {
        ConvGeometry geometry = task.geometry;
        geometry.pad_y = above;
        const Shape src{src_.shape.c, strip.src_rows, src_.shape.w}, dst{dst_.shape.c, strip.rows, dst_.shape.w};
        return {runtime_, geometry, describe(1, src, operand_), describe(1, dst, DType::f32), {}};
    }

    void compute(const Strip& strip, int thread) {
        std::byte* scratch = runtime_.scratch() + thread * per_thread_;
        const std::size_t src_pixel =
            (static_cast<std::size_t>(strip.image) * src_.shape.h + strip.src_first) * src_.shape.w;
        const void* src = at(src_.data, src_.type, src_pixel * src_.pitch);
        if (!reads_source_) {
            copy_pixels(src_, src_pixel, static_cast<std::size_t>(strip.src_rows) * src_.shape.w, operand_, scratch);
            src = scratch;
        }
        float* sums = reinterpret_cast<float*>(scratch + sums_at_);
        calls_[strip.primitive][thread].run(src, sums, scratch + scratch_at_);
        const std::size_t width = dst_.shape.w;
        const std::size_t pixel = (static_cast<std::size_t>(strip.image) * dst_.shape.h + strip.first) * width;
        finish_pixels(pixels_of(dst_, residual_, sums, pixel, strip.rows * width), finish_);
    }

    Runtime& runtime_;
    Tensor src_;
    DType operand_;  // type in which it is multiplied
    bool reads_source_;
    Tensor dst_, residual_;
    Finish finish_;
    std::vector<Strip> strips_;
    std::vector<ConvPrimitive> primitives_;
    std::vector<std::vector<ConvCall>> calls_;                   // by primitive and thread
    std::size_t sums_at_ = 0, scratch_at_ = 0, per_thread_ = 0;  // in the scratch area
};

}  // namespace

bool weights_fit_tiles(const Node& node, DType type) {
    const auto& params = node.as<ConvolutionalParams>();
    const std::size_t per_filter = static_cast<std::size_t>(node.in.c / params.groups) * params.size * params.size;
    return params.filters * per_filter * bytes(multiplied_as(type)) <= kWeightsBytes;
}

std::unique_ptr<Kernel> make_tiled_convolution(const ConvTask& task) {
    std::unique_ptr<Kernel> kernel;
    // Each strip is computed by one thread, and oneDNN plans for as many as it sees.
    with_team(1, [&] { kernel = std::make_unique<TiledConvolution>(task); });
    return kernel;
}

}  // namespace dn::cpu
