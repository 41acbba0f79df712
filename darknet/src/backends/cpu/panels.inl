// SPDX-License-Identifier: Apache-2.0
// Products of rows with panels of a matrix, and what follows their sums, for one instruction set; see each_isa.hpp.
// kVectorsOfPanel, 1 or 2, is defined before.

constexpr int kPanel = kVectorsOfPanel * kLanes;
constexpr int kMostRows = (kRegisters == 32 ? 24 : 12) / kVectorsOfPanel;  // of sums in registers, a panel wide

DN_INLINE int columns_of(int filters, int panel) { return std::min(kPanel, filters - panel * kPanel); }
DN_INLINE int vectors_of(int columns) { return columns > kLanes ? 2 : 1; }

// sums += `depth` columns of rows of a, a_pitch apart, times as many rows of b, a panel wide.
template <int kRows, int kVectors>
DN_INLINE void multiply_run(V (&sums)[kRows][kVectors], const float* a, std::size_t a_pitch, const float* b,
                            int depth) {
    for (int k = 0; k < depth; ++k, ++a, b += kVectors * kLanes) {
        V y[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) y[v] = load(b + v * kLanes);
#pragma GCC unroll 24
        for (int r = 0; r < kRows; ++r) {
            const V x = broadcast(a[r * a_pitch]);
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sums[r][v] += x * y[v];
        }
    }
}

// `count` lanes of one output pixel from channel c on.
DN_INLINE void finish(V sum, const Epilogue& epilogue, std::size_t pixel, int c, int count, float* dst,
                      std::size_t dst_pitch) {
    V x = activated(sum, epilogue.activation);
    float* to = dst + pixel * dst_pitch + c;
    if (epilogue.residual) {
        const float* from = epilogue.residual + pixel * epilogue.residual_pitch + c;
        x = activated(x + (count == kLanes ? load(from) : load_part(from, count)), epilogue.after);
    }
    if (count == kLanes)
        store(to, x);
    else
        store_part(to, x, count);
}

DN_INLINE V bias_of(const Epilogue& epilogue, int c, int count) {
    if (!epilogue.biases) return V{};
    return count == kLanes ? load(epilogue.biases + c) : load_part(epilogue.biases + c, count);
}
