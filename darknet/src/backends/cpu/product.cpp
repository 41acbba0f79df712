// SPDX-License-Identifier: Apache-2.0
#include "product.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.hpp"
#include "runtime.hpp"
#include "vector_math.hpp"

#define DN_LOOPS "product.inl"
#include "each_isa.hpp"

namespace dn::cpu {
namespace {

struct Loops {
    int lanes;
    decltype(&baseline::multiply_pixels) pixels;
};

const Loops& loops() {
    static constexpr Loops narrow{baseline::kLanes, baseline::multiply_pixels};
#if defined(DN_HAVE_X86_VECTORS)
    static constexpr Loops avx2{avx2::kLanes, avx2::multiply_pixels};
    static constexpr Loops avx512{avx512::kLanes, avx512::multiply_pixels};
    if (vector_width() == VectorWidth::avx512) return avx512;
    if (vector_width() == VectorWidth::avx2) return avx2;
#endif
    return narrow;
}

int rounded_up(int count, int step) { return (count + step - 1) / step * step; }
int panel_width() { return 2 * loops().lanes; }

}  // namespace

std::size_t product_floats(int depth, int filters) {
    return static_cast<std::size_t>(depth) * rounded_up(filters, loops().lanes);
}

// Panels of (depth, filters).
void pack_product(const float* weights, int depth, int filters, float* packed) {
    const int width = panel_width();
    parallel_for(product_panels(filters), [&](int panel) {
        const int first = panel * width, columns = std::min(width, filters - first);
        const int stored = rounded_up(columns, loops().lanes);
        float* to = packed + static_cast<std::size_t>(first) * depth;
        for (int k = 0; k < depth; ++k, to += stored) {
            const float* from = weights + static_cast<std::size_t>(first) * depth + k;
            for (int i = 0; i < columns; ++i) to[i] = from[static_cast<std::size_t>(i) * depth];
            std::fill(to + columns, to + stored, 0.0f);
        }
    });
}

int product_panels(int filters) { return (filters + panel_width() - 1) / panel_width(); }

void multiply_pixels(const ProductTask& task, std::size_t first, std::size_t count, int first_panel, int end_panel) {
    loops().pixels(task, first, count, first_panel, end_panel);
}

}  // namespace dn::cpu
