// SPDX-License-Identifier: Apache-2.0
// A convolution as products of pixels with a matrix, by loops of our own: tensors of any pitch and whatever follows the
// sums in the same pass.
#include "conv_product.hpp"

#include <algorithm>

#include "../../error.hpp"
#include "../../layers/layer.hpp"
#include "isa.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kSourceBytes = 128 << 10;  // of the pixels that meet all panels while they are in the cache
constexpr std::size_t kFewPixels = 48;
constexpr std::size_t kLargeMap = 2 << 20;  // bytes of an output that is worth to be kept in the cache

// Weights with their depth in the order of channels-last windows: (filters, rows, columns, channels).
Floats window_order(const Floats& weights, int filters, int channels, int taps) {
    Floats ordered(weights.size());
    for (std::size_t f = 0; f < static_cast<std::size_t>(filters); ++f)
        for (int c = 0; c < channels; ++c)
            for (int tap = 0; tap < taps; ++tap)
                ordered[(f * taps + tap) * channels + c] = weights[(f * channels + c) * taps + tap];
    return ordered;
}

const float* pack_weights(const ConvTask& task) {
    const int channels = task.src.shape.c, filters = task.dst.shape.c, taps = task.geometry.size * task.geometry.size;
    return static_cast<const float*>(
        task.weights.get_words(task.owner, product_floats(channels * taps, filters), WordOrder::product, [&](void* to) {
            Floats folded(task.params.weights.size());
            fold_weights(task.params, folded.data());
            if (taps > 1) folded = window_order(folded, filters, channels, taps);
            pack_product(folded.data(), channels * taps, filters, static_cast<float*>(to));
        }));
}

// 1x1 with stride 1.
class PixelKernel : public Kernel {
public:
    explicit PixelKernel(const ConvTask& task)
        : task_(product_of(task)), pixels_(static_cast<std::size_t>(task.dst.n) * task.dst.shape.h * task.dst.shape.w) {
        const std::size_t depth = task_.depth, threads = task.runtime.threads();
        (static_cast<std::size_t>(task_.filters) > pixels_ ? panel_parts_ : pixel_parts_) = static_cast<int>(threads);
        block_ = std::max(kFewPixels, kSourceBytes / (depth * sizeof(float)));
    }

    void forward() override {
        const int panels = product_panels(task_.filters);
        parallel_for(pixel_parts_ * panel_parts_, [&](int i) {
            const std::size_t part = i / panel_parts_, panel = i % panel_parts_;
            const std::size_t begin = pixels_ * part / pixel_parts_, end = pixels_ * (part + 1) / pixel_parts_;
            for (std::size_t first = begin; first < end; first += block_)
                multiply_pixels(task_, first, std::min(block_, end - first), panels * panel / panel_parts_,
                                panels * (panel + 1) / panel_parts_);
        });
    }

    std::string what() const override { return text("product:", vectors_name()); }

private:
    ProductTask task_;
    std::size_t pixels_, block_;
    int pixel_parts_ = 1, panel_parts_ = 1;
};

bool is_pixel_product(const ConvolutionalParams& params) {
    return params.size == 1 && params.stride_x == 1 && params.stride_y == 1 && params.padding == 0;
}

// Whether loops of our own compute it, and no form of it has fewer products.
bool suits_product(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    const auto& params = node.as<ConvolutionalParams>();
    const bool possible = type == DType::f32 && params.dilation == 1 && params.groups == 1 &&
                          params.antialiasing == 0 && is_vector_activation(params.activation) &&
                          is_vector_activation(fusion.residual_activation);
    if (!possible || method == ConvMethod::products) return possible;
    return method == ConvMethod::automatic && vector_width() != VectorWidth::baseline &&
           winograd_tile(node, fusion, type, method) == 0;
}

}  // namespace

ProductTask product_of(const ConvTask& task) {
    const Tensor &src = task.src, &dst = task.dst, &residual = task.residual;
    return {src.f32(),
            src.pitch,
            1,
            src.shape.c,
            0,
            pack_weights(task),
            dst.shape.c,
            dst.f32(),
            dst.pitch,
            {pack_biases(task.weights, task.owner, task.params), task.finish.activation, residual.f32(), residual.pitch,
             task.finish.after}};
}

bool is_product(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    if (!suits_product(node, fusion, type, method)) return false;
    return method == ConvMethod::products || is_pixel_product(node.as<ConvolutionalParams>());
}

bool computes_pair(const ConvPair& pair, const Fusion& fusion, DType type, ConvMethod method) {
    const auto counts = [](const Node& node) {
        return counts_windows(node.as<ConvolutionalParams>(), node.in, node.out);
    };
    const bool large = pair.first.out.size() * sizeof(float) >= kLargeMap || method == ConvMethod::products;
    return large && pair.second.as<ConvolutionalParams>().size > 1 && suits_product(pair.first, {}, type, method) &&
           suits_product(pair.second, fusion, type, method) && counts(pair.first) && counts(pair.second);
}

std::unique_ptr<Kernel> make_product_convolution(const ConvTask& task) {
    const ConvGeometry& geometry = task.geometry;
    const bool strides = geometry.stride_x > 1 || geometry.stride_y > 1;
    if (geometry.size == 1 && !strides && geometry.pad_x == 0) return std::make_unique<PixelKernel>(task);
    return make_window_product(task);
}

}  // namespace dn::cpu
