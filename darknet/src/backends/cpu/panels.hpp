// SPDX-License-Identifier: Apache-2.0
// Matrices in panels of columns, as loops of our own read them: panel by panel, and in each row by row. A row of the
// last panel, which may be narrower, is filled with zeros to whole vectors.
#pragma once

#include <algorithm>
#include <cstddef>

#include "runtime.hpp"

namespace dn::cpu {

inline int rounded_up(int count, int step) { return (count + step - 1) / step * step; }
inline int panel_count(int columns, int panel) { return (columns + panel - 1) / panel; }

// Row k of column i is from[i * column_pitch + row_at(k)].
template <class RowAt>
void pack_panels(const float* from, std::size_t column_pitch, int columns, int rows, int panel, int lanes,
                 const RowAt& row_at, float* packed) {
    parallel_for(panel_count(columns, panel), [&](int i) {
        const int first = i * panel, count = std::min(panel, columns - first), stored = rounded_up(count, lanes);
        const float* begin = from + first * column_pitch;
        float* to = packed + static_cast<std::size_t>(first) * rows;
        for (int k = 0; k < rows; ++k, to += stored) {
            const float* row = begin + row_at(k);
            for (int j = 0; j < count; ++j) to[j] = row[j * column_pitch];
            std::fill(to + count, to + stored, 0.0f);
        }
    });
}

}  // namespace dn::cpu
