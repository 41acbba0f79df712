// SPDX-License-Identifier: Apache-2.0
// A convolution as products of pixels with a matrix, by loops of our own: tensors of any pitch and whatever follows the
// sums in the same pass.
#include <cstdlib>
#include <optional>
#include "../../error.hpp"
#include "../../layers/layer.hpp"
#include "conv_primitive.hpp"
#include "cpu.hpp"
#include "isa.hpp"
#include "layout.hpp"
#include "product.hpp"

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

// A convolution whose windows are runs of padded source rows, and those rows.
struct Window {
    explicit Window(const ConvTask& task)
        : geometry(task.geometry), src(task.src), dst(task.dst), product(product_of(task)) {
        const int channels = src.shape.c, size = geometry.size;
        const int pixels = std::max(src.shape.w + geometry.pad_x, (dst.shape.w - 1) * geometry.stride_x + size);
        row_floats = static_cast<std::size_t>(pixels) * channels;
        product.src_pitch = static_cast<std::size_t>(geometry.stride_x) * channels;
        product.runs = size;
        product.depth = size * channels;
        product.run_pitch = row_floats;
    }

    // The first source row, which may lie beyond the border, of output row y.
    int first_row(int y) const { return y * geometry.stride_y - geometry.pad_y; }
    bool has_row(int y) const { return y >= 0 && y < src.shape.h; }
    float* pixels_of(float* row) const { return row + static_cast<std::size_t>(geometry.pad_x) * src.shape.c; }

    // Zeros in place of a row, or beside what is written into it.
    void clear(float* row, bool whole) const {
        float *begin = pixels_of(row), *end = begin + static_cast<std::size_t>(src.shape.w) * src.shape.c;
        std::fill(row, whole ? row + row_floats : begin, 0.0f);
        if (!whole) std::fill(end, row + row_floats, 0.0f);
    }

    void copy_row(int image, int y, float* row) const {
        clear(row, !has_row(y));
        if (!has_row(y)) return;
        const std::size_t pixel = (static_cast<std::size_t>(image) * src.shape.h + y) * src.shape.w;
        copy_pixels(src, pixel, src.shape.w, DType::f32, pixels_of(row));
    }

    // Output row from the source rows of its windows.
    void multiply(const float* rows, float* to, std::size_t pitch, const float* residual) const {
        ProductTask task = product;
        task.src = rows;
        task.dst = to;
        task.dst_pitch = pitch;
        task.epilogue.residual = residual;
        multiply_pixels(task, 0, dst.shape.w, 0, product_panels(task.filters));
    }

    ConvGeometry geometry;
    Tensor src, dst;
    ProductTask product;
    std::size_t row_floats;  // of a padded source row
};

// Windows of several pixels, in bands of rows. `before`, if given, is the convolution that computes the source: only
// the rows of a band exist of it, in the cache.
class WindowKernel : public Kernel {
public:
    WindowKernel(const ConvTask& task, const std::optional<ConvTask>& before) : runtime_(task.runtime), window_(task) {
        if (before) before_.emplace(*before);
        const std::size_t of_row = window_.row_floats * window_.geometry.stride_y * sizeof(float);
        band_ = std::max<int>(1, static_cast<int>(kSourceBytes / of_row));
        before_at_ = window_.row_floats * ((band_ - 1) * window_.geometry.stride_y + window_.geometry.size);
        const std::size_t floats = before_at_ + (before_ ? before_->row_floats * before_->geometry.size : 0);
        per_thread_ = aligned(floats * sizeof(float));
        runtime_.reserve(per_thread_ * runtime_.threads());
    }

    void forward() override {
        const int height = window_.dst.shape.h, rows = window_.dst.n * height,
                  parts = std::min(rows, runtime_.threads());
        parallel_for(parts, [&](int part) {
            const int end = static_cast<int>(static_cast<std::int64_t>(rows) * (part + 1) / parts);
            for (int row = static_cast<int>(static_cast<std::int64_t>(rows) * part / parts); row < end;) {
                const int image_end = std::min(end, (row / height + 1) * height);
                compute(row / height, row % height, image_end - row);
                row = image_end;
            }
        });
    }

    std::string what() const override { return text("product", before_ ? "2:" : ":", vectors_name()); }

private:
    // Output rows [first, first + count) of an image, a band at a time; a band begins with the last rows of the one
    // before.
    void compute(int image, int first, int count) const {
        float* rows = reinterpret_cast<float*>(runtime_.scratch() + thread_index() * per_thread_);
        const int stride = window_.geometry.stride_y, size = window_.geometry.size;
        int ready = 0;  // source rows of the next band that are in place
        for (int y = first; y < first + count; y += band_) {
            const int band = std::min(band_, first + count - y), needed = (band - 1) * stride + size;
            for (int i = ready; i < needed; ++i)
                make_row(image, window_.first_row(y) + i, rows + i * window_.row_floats, rows + before_at_);
            for (int i = 0; i < band; ++i) multiply(image, y + i, rows + i * stride * window_.row_floats);
            ready = std::max(0, size - stride);
            std::copy_n(rows + band * stride * window_.row_floats, ready * window_.row_floats, rows);
        }
    }

    void multiply(int image, int y, const float* rows) const {
        const ProductTask& product = window_.product;
        const std::size_t pixel = (static_cast<std::size_t>(image) * window_.dst.shape.h + y) * window_.dst.shape.w;
        const float* residual = product.epilogue.residual;
        window_.multiply(rows, product.dst + pixel * product.dst_pitch, product.dst_pitch,
                         residual ? residual + pixel * product.epilogue.residual_pitch : nullptr);
    }

    void make_row(int image, int y, float* row, float* sources) const {
        if (!before_) return window_.copy_row(image, y, row);
        window_.clear(row, !window_.has_row(y));
        if (!window_.has_row(y)) return;
        for (int i = 0; i < before_->geometry.size; ++i)
            before_->copy_row(image, before_->first_row(y) + i, sources + i * before_->row_floats);
        before_->multiply(sources, window_.pixels_of(row), window_.src.shape.c, nullptr);
    }

    Runtime& runtime_;
    Window window_;
    std::optional<Window> before_;
    int band_ = 1;
    std::size_t before_at_ = 0, per_thread_ = 0;  // floats; bytes
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

bool is_product(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    if (!suits_product(node, fusion, type, method)) return false;
    static const bool on = std::getenv("DN_PRODUCT") ? atoi(std::getenv("DN_PRODUCT")) : true;
    if (!on) return false;
    return method == ConvMethod::products || is_pixel_product(node.as<ConvolutionalParams>());
}

bool computes_pair(const ConvPair& pair, const Fusion& fusion, DType type, ConvMethod method) {
    static const bool on = std::getenv("DN_PAIR") ? atoi(std::getenv("DN_PAIR")) : true;
    if (!on) return false;
    const auto counts = [](const Node& node) {
        return counts_windows(node.as<ConvolutionalParams>(), node.in, node.out);
    };
    const bool large = pair.first.out.size() * sizeof(float) >= kLargeMap || method == ConvMethod::products;
    return large && pair.second.as<ConvolutionalParams>().size > 1 && suits_product(pair.first, {}, type, method) &&
           suits_product(pair.second, fusion, type, method) && counts(pair.first) && counts(pair.second);
}

std::unique_ptr<Kernel> make_product_pair(const ConvTask& first, const ConvTask& second) {
    return std::make_unique<WindowKernel>(second, first);
}

std::unique_ptr<Kernel> make_product_convolution(const ConvTask& task) {
    const ConvGeometry& geometry = task.geometry;
    if (geometry.size == 1 && geometry.stride_x == 1 && geometry.stride_y == 1 && geometry.pad_x == 0)
        return std::make_unique<PixelKernel>(task);
    return std::make_unique<WindowKernel>(task, std::nullopt);
}

}  // namespace dn::cpu
