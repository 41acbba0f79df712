// SPDX-License-Identifier: Apache-2.0
// Convolutions as products whose windows have several pixels, in bands of rows: alone, or two in one step, with the
// rows between them in the cache alone.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "../../error.hpp"
#include "conv_product.hpp"
#include "isa.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kBandBytes = 128 << 10;  // of the source rows of a band

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
        band_ = std::max<int>(1, static_cast<int>(kBandBytes / of_row));
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

}  // namespace

std::unique_ptr<Kernel> make_window_product(const ConvTask& task) {
    return std::make_unique<WindowKernel>(task, std::nullopt);
}

std::unique_ptr<Kernel> make_product_pair(const ConvTask& first, const ConvTask& second) {
    return std::make_unique<WindowKernel>(second, first);
}

}  // namespace dn::cpu
