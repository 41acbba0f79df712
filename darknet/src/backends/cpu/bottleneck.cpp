// SPDX-License-Identifier: Apache-2.0
// A bottleneck in one pass: 1x1 convolution -> depthwise 3x3 -> 1x1 convolution. Each thread takes strips of rows, and
// in them a band of a few output rows at a time: it expands the additional input rows of the band into a ring,
// convolves them and projects the result. The wide tensors between, several times larger than input and output, never
// leave the thread's own cache, and one parallel region does the work of three.
#include "avx512.hpp"
#include "conv_primitive.hpp"
#include "cpu.hpp"
#include "depthwise.hpp"
#include "layout.hpp"
#include "pixel_product.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

constexpr int kBlock = 16;                        // channels of a vector
constexpr int kBandPixels = 48;                   // outputs for which the weights of a projection are read once
constexpr std::size_t kWeightsBytes = 384 << 10;  // of both products; more would crowd the rows out of the cache
constexpr int kFewRows = 4;                       // per thread; with fewer, too many are expanded twice
// Products of fewer channels than these are of float32: bfloat16 gains little in them, and they average out few of
// its roundings.
constexpr int kNarrowSource = 48, kNarrowProduct = 128;

bool has_slope(Activation activation) {
    return activation == Activation::linear || activation == Activation::leaky || activation == Activation::relu;
}

float slope_of(Activation activation) {
    return activation == Activation::linear ? 1.0f : activation == Activation::leaky ? 0.1f : 0.0f;
}

// One of the three convolutions and its numbers.
struct Stage {
    Stage(const Context& context, int index)
        : node(context.graph.nodes[index]),
          owner(weights_owner(context.graph, index)),
          params(context.parameters->of(context.graph, index)),
          activation(node.as<ConvolutionalParams>().activation) {}

    const Node& node;
    int owner;
    const NodeParameters& params;
    Activation activation;
};

class BottleneckKernel : public Kernel {
public:
    explicit BottleneckKernel(const Context& context)
        : runtime_(context.runtime), src_(context.src[0]), dst_(context.dst), residual_(context.residual) {
        const Stage expand(context, context.fusion.first), depthwise(context, context.fusion.depthwise),
            project(context, context.node.index);
        wide_ = depthwise.node.in.c;
        stride_ = depthwise.node.as<ConvolutionalParams>().stride_x;
        const bool bf16 = multiplied_as(context.compute) == DType::bf16 && wide_ >= kNarrowProduct;
        project_type_ = bf16 ? DType::bf16 : DType::f32;
        expand_type_ = bf16 && src_.shape.c >= kNarrowSource ? DType::bf16 : DType::f32;
        reads_source_ = src_.type == expand_type_ && src_.pitch % 2 == 0;
        finish_ = {project.activation, residual_.data != nullptr, context.fusion.residual_activation};
        expand_ = make_product(context.weights, expand, expand_type_, slope_of(expand.activation));
        expand_.x_pitch = reads_source_ ? src_.pitch : src_.shape.c;
        project_ = make_product(context.weights, project, project_type_, 1);
        project_.x_pitch = wide_;
        make_strips();
        make_depthwise(context.weights, depthwise);
        reserve();
    }

    // Each thread gets the same rows in every layer, which it then finds in its cache.
    void forward() override {
        parallel_for(part_count_ * dst_.n, [&](int i) {
            const int part = i % part_count_, height = dst_.shape.h;
            compute(i / part_count_, height * part / part_count_, height * (part + 1) / part_count_);
        });
    }

    std::string what() const override {
        return project_type_ == DType::f32 ? "bottleneck:avx512" : "bottleneck:avx512_bf16";
    }

private:
    static PixelProduct make_product(WeightStore& weights, const Stage& stage, DType type, float slope) {
        const int depth = stage.node.in.c, columns = stage.node.out.c;
        const bool bf16 = type == DType::bf16;
        const void* matrix =
            weights.get_words(stage.owner, packed_words(depth, columns, bf16),
                              bf16 ? WordOrder::bf16_matrix : WordOrder::matrix, [&](void* packed) {
                                  Floats folded(stage.params.weights.size());
                                  fold_weights(stage.params, folded.data());
                                  pack_matrix(folded.data(), depth, columns, bf16, static_cast<std::uint32_t*>(packed));
                              });
        return {nullptr,
                0,
                static_cast<const std::uint32_t*>(matrix),
                pack_biases(weights, stage.owner, stage.params),
                depth,
                columns,
                bf16,
                slope};
    }

    void make_depthwise(WeightStore& weights, const Stage& stage) {
        constexpr int kTaps = kDepthwiseSize * kDepthwiseSize;
        const std::size_t channels = wide_;
        taps_ = static_cast<const float*>(
            weights.get_words(stage.owner, kTaps * channels, WordOrder::taps, [&](void* packed) {
                Floats folded(stage.params.weights.size());
                fold_weights(stage.params, folded.data());
                for (std::size_t c = 0; c < channels; ++c)
                    for (int tap = 0; tap < kTaps; ++tap)
                        static_cast<float*>(packed)[tap * channels + c] = folded[c * kTaps + tap];
            }));
        row_.biases = pack_biases(weights, stage.owner, stage.params);
        row_.block_pitch = block_pitch();
        row_.channels = wide_;
        row_.width = src_.shape.w;
        row_.out_width = dst_.shape.w;
        row_.stride = stride_;
        row_.slope = slope_of(stage.activation);
    }

    void make_strips() {
        const int height = dst_.shape.h;
        part_count_ = std::min(runtime_.threads(), std::max(1, height / kFewRows));
        band_ = std::min(height, std::max(1, kBandPixels / dst_.shape.w));
        ring_ = (band_ - 1) * stride_ + kDepthwiseSize;
    }

    // Of the ring, whose channels lie in blocks: the windows that slide over one touch neighbouring cache lines.
    std::size_t block_pitch() const { return static_cast<std::size_t>(ring_) * src_.shape.w * kBlock; }

    void reserve() {
        const std::size_t pixels = static_cast<std::size_t>(band_) * dst_.shape.w;
        const std::size_t staged = static_cast<std::size_t>(ring_) * src_.shape.w * src_.shape.c * bytes(expand_type_);
        ring_at_ = reads_source_ ? 0 : aligned(staged);
        convolved_at_ = ring_at_ + aligned(block_pitch() * (wide_ / kBlock) * sizeof(float));
        sums_at_ = convolved_at_ + aligned(pixels * wide_ * bytes(project_type_));
        per_thread_ = sums_at_ + aligned(pixels * dst_.shape.c * sizeof(float));
        runtime_.reserve(per_thread_ * runtime_.threads());
    }

    // Output rows [first, end) of an image.
    void compute(int image, int first, int end) const {
        std::byte* scratch = runtime_.scratch() + thread_index() * per_thread_;
        int expanded = std::max(0, first * stride_ - 1);
        for (int y = first; y < end; y += band_) {
            const int rows = std::min(band_, end - y);
            const int needed = std::min(src_.shape.h, (y + rows - 1) * stride_ + 2);
            expand_rows(image, expanded, needed, scratch);
            expanded = std::max(expanded, needed);
            for (int i = 0; i < rows; ++i) convolve(y + i, i, scratch);
            project(image, y, rows, scratch);
        }
    }

    // Input rows [first, end) into the ring, in runs that do not wrap around.
    void expand_rows(int image, int first, int end, std::byte* scratch) const {
        const std::size_t width = src_.shape.w;
        while (first < end) {
            const int slot = first % ring_, rows = std::min(end - first, ring_ - slot);
            const std::size_t pixel = (static_cast<std::size_t>(image) * src_.shape.h + first) * width;
            PixelProduct product = expand_;
            product.x = at(src_.data, src_.type, pixel * src_.pitch);
            if (!reads_source_) {
                copy_pixels(src_, pixel, rows * width, expand_type_, scratch);
                product.x = scratch;
            }
            multiply_pixels(product, rows * width, {ring_row(first, scratch), kBlock, block_pitch()});
            first += rows;
        }
    }

    float* ring_row(int y, std::byte* scratch) const {
        return reinterpret_cast<float*>(scratch + ring_at_) +
               static_cast<std::size_t>(y % ring_) * src_.shape.w * kBlock;
    }

    // Output row y, the i-th of its band.
    void convolve(int y, int i, std::byte* scratch) const {
        DepthwiseRow row = row_;
        row.row_count = 0;
        for (int k = 0; k < kDepthwiseSize; ++k) {
            const int above = y * stride_ - 1 + k;
            if (above < 0 || above >= src_.shape.h) continue;
            row.rows[row.row_count] = ring_row(above, scratch);
            row.weights[row.row_count++] = taps_ + static_cast<std::size_t>(k) * kDepthwiseSize * wide_;
        }
        convolve_row(row,
                     at(scratch + convolved_at_, project_type_, static_cast<std::size_t>(i) * dst_.shape.w * wide_),
                     project_type_);
    }

    void project(int image, int y, int rows, std::byte* scratch) const {
        const std::size_t width = dst_.shape.w, pixels = rows * width;
        float* sums = reinterpret_cast<float*>(scratch + sums_at_);
        PixelProduct product = project_;
        product.x = scratch + convolved_at_;
        multiply_pixels(product, pixels, {sums, static_cast<std::size_t>(dst_.shape.c), kBlock});
        const std::size_t pixel = (static_cast<std::size_t>(image) * dst_.shape.h + y) * width;
        finish_pixels(pixels_of(dst_, residual_, sums, pixel, pixels), finish_);
    }

    Runtime& runtime_;
    Tensor src_, dst_, residual_;
    Finish finish_;
    int wide_, stride_;
    DType expand_type_, project_type_;  // of what is multiplied
    bool reads_source_;
    PixelProduct expand_{}, project_{};
    DepthwiseRow row_{};
    const float* taps_ = nullptr;           // (rows, columns, channels)
    int part_count_ = 1;                    // strips of an image
    int band_ = 1, ring_ = kDepthwiseSize;  // output rows at a time, wide rows that they need
    std::size_t ring_at_ = 0, convolved_at_ = 0, sums_at_ = 0, per_thread_ = 0;  // in the scratch area
};

}  // namespace

bool computes_bottleneck(const Bottleneck& bottleneck, const PlanOptions& options) {
    const Shape in = bottleneck.expand.in, wide = bottleneck.depthwise.in, out = bottleneck.depthwise.out;
    const auto& params = bottleneck.depthwise.as<ConvolutionalParams>();
    const std::size_t products = static_cast<std::size_t>(in.c + bottleneck.project.out.c) * wide.c;
    const bool shape = params.size == kDepthwiseSize && params.padding == 1 && params.dilation == 1 &&
                       params.stride_x == params.stride_y && params.stride_x <= 2 && wide.c % kBlock == 0 &&
                       in.c % 2 == 0 && out.h == (wide.h - 1) / params.stride_x + 1 &&
                       out.w == (wide.w - 1) / params.stride_x + 1;
    return shape && has_avx512() && products * sizeof(float) <= kWeightsBytes &&
           out.h * options.batch >= kFewRows * options.threads &&
           has_slope(bottleneck.expand.as<ConvolutionalParams>().activation) && has_slope(params.activation) &&
           !normalizes_channels(bottleneck.project.as<ConvolutionalParams>().activation);
}

std::unique_ptr<Kernel> make_bottleneck(const Context& context) { return std::make_unique<BottleneckKernel>(context); }

}  // namespace dn::cpu
