// SPDX-License-Identifier: Apache-2.0
#include "permutation.hpp"

namespace dn::ref {

Indices spread_blocks(Shape shape, int stride) {
    Indices spread;
    spread.reserve(shape.size());
    const std::size_t s = stride, depth = shape.c / (s * s), width = shape.w * s;
    for (std::size_t k = 0; k < static_cast<std::size_t>(shape.c); ++k)
        for (int j = 0; j < shape.h; ++j)
            for (int i = 0; i < shape.w; ++i) {
                const std::size_t block = k / depth, row = j * s + block / s + shape.h * s * (k % depth);
                spread.push_back(i * s + block % s + row * width);
            }
    return spread;
}

Indices inverse(const Indices& indices) {
    Indices result(indices.size());
    for (std::size_t k = 0; k < indices.size(); ++k) result[indices[k]] = k;
    return result;
}

}  // namespace dn::ref
