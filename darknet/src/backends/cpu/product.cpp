// SPDX-License-Identifier: Apache-2.0
#include "product.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.hpp"
#include "panels.hpp"
#include "vector_math.hpp"

#define DN_LOOPS "product.inl"
#include "each_isa.hpp"

namespace dn::cpu {
namespace {

struct Loops {
    int lanes, panel;
    decltype(&baseline::multiply_pixels) pixels;
};
#define DN_LOOPS_OF(isa) \
    { isa::kLanes, isa::kPanel, isa::multiply_pixels }

const Loops& loops() { DN_RETURN_LOOPS(Loops) }

}  // namespace

std::size_t product_floats(int depth, int filters) {
    return static_cast<std::size_t>(depth) * rounded_up(filters, loops().lanes);
}

void pack_product(const float* weights, int depth, int filters, float* packed) {
    pack_panels(
        weights, depth, filters, depth, loops().panel, loops().lanes, [](int k) { return k; }, packed);
}

int product_panels(int filters) { return panel_count(filters, loops().panel); }

void multiply_pixels(const ProductTask& task, std::size_t first, std::size_t count, int first_panel, int end_panel) {
    loops().pixels(task, first, count, first_panel, end_panel);
}

}  // namespace dn::cpu
