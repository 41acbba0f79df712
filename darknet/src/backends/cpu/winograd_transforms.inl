// SPDX-License-Identifier: Apache-2.0
// The transforms of Winograd's form for one instruction set; see each_isa.hpp. Backward passes use the transposes of
// those of the forward pass.
//
// Those of weights leave out factors of positions, 1, -1/3 and 1/6, which cost nothing in those of outputs; kWeights is
// the same as a matrix. The transposed ones, which make gradients of filters, have the factors where they were.

// Of Cook and Toom's points, 0, +-1/sqrt(2), +-sqrt(2) and infinity round best for tiles of 4.

template <int kTile>
struct Transform;

template <>
struct Transform<4> {
    static constexpr float kA = 0.70710678f, kB = 1.41421356f;
    static constexpr float kWeights[6][3] = {{1, 0, 0}, {2, kB, 1}, {2, -kB, 1}, {1, kB, 2}, {1, -kB, 2}, {0, 0, 1}};

    static DN_MEMBER void input(const V* t, V* o) {
        const V even_a = t[4] - 2.0f * t[2], odd_a = t[3] - 2.0f * t[1];
        const V even_b = t[4] - 0.5f * t[2], odd_b = t[3] - 0.5f * t[1];
        o[0] = t[0] - 2.5f * t[2] + t[4];
        o[1] = even_a + kA * odd_a;
        o[2] = even_a - kA * odd_a;
        o[3] = even_b + kB * odd_b;
        o[4] = even_b - kB * odd_b;
        o[5] = t[1] - 2.5f * t[3] + t[5];
    }

    static DN_MEMBER void weights(const V* g, V* o) {
        const V even_a = 2.0f * g[0] + g[2], even_b = 2.0f * g[2] + g[0];
        o[0] = g[0];
        o[1] = even_a + kB * g[1];
        o[2] = even_a - kB * g[1];
        o[3] = even_b + kB * g[1];
        o[4] = even_b - kB * g[1];
        o[5] = g[2];
    }

    static DN_MEMBER void output(const V* m, V* o) {
        const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
        const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
        o[0] = m[0] + (-1.0f / 3) * sum_a + (1.0f / 6) * sum_b;
        o[1] = (-1.0f / 3 * kA) * difference_a + (kB / 6) * difference_b;
        o[2] = (-1.0f / 6) * sum_a + (1.0f / 3) * sum_b;
        o[3] = m[5] + (-1.0f / 6 * kA) * difference_a + (kB / 3) * difference_b;
    }

    static DN_MEMBER void delta(const V* d, V* o) {
        const V even_a = d[0] + 0.5f * d[2], odd_a = kA * d[1] + (0.5f * kA) * d[3];
        const V even_b = d[0] + 2.0f * d[2], odd_b = kB * d[1] + (2.0f * kB) * d[3];
        o[0] = d[0];
        o[1] = even_a + odd_a;
        o[2] = even_a - odd_a;
        o[3] = even_b + odd_b;
        o[4] = even_b - odd_b;
        o[5] = d[3];
    }

    static DN_MEMBER void gradient(const V* o, V* g) {
        const V sum_a = o[1] + o[2], difference_a = o[1] - o[2];
        const V sum_b = o[3] + o[4], difference_b = o[3] - o[4];
        g[0] = o[0] - (2.0f / 3) * sum_a + (1.0f / 6) * sum_b;
        g[1] = (kB / 6) * difference_b - (2.0f / 3 * kA) * difference_a;
        g[2] = o[5] + (1.0f / 3) * (sum_b - sum_a);
    }
};

template <>
struct Transform<2> {
    static constexpr float kWeights[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};

    static DN_MEMBER void input(const V* t, V* o) {
        o[0] = t[0] - t[2];
        o[1] = t[1] + t[2];
        o[2] = t[2] - t[1];
        o[3] = t[1] - t[3];
    }

    static DN_MEMBER void weights(const V* g, V* o) {
        const V even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
        o[0] = g[0];
        o[1] = even + odd;
        o[2] = even - odd;
        o[3] = g[2];
    }

    static DN_MEMBER void output(const V* m, V* o) {
        o[0] = m[0] + m[1] + m[2];
        o[1] = m[1] - m[2] - m[3];
    }

    static DN_MEMBER void delta(const V* d, V* o) {
        o[0] = d[0];
        o[1] = d[0] + d[1];
        o[2] = d[0] - d[1];
        o[3] = -d[1];
    }

    static DN_MEMBER void gradient(const V* o, V* g) {
        const V half_sum = 0.5f * (o[1] + o[2]);
        g[0] = o[0] + half_sum;
        g[1] = 0.5f * (o[1] - o[2]);
        g[2] = o[3] + half_sum;
    }
};

// Transforms columns, then rows: (kIn, kIn) -> (kOut, kOut). at(row, column) loads; put(row, column, value) stores.
template <int kIn, int kOut, class Each, class At, class Put>
DN_INLINE void transform_square(const Each& each, const At& at, const Put& put) {
    V half[kIn][kOut];
#pragma GCC unroll 8
    for (int x = 0; x < kIn; ++x) {
        V column[kIn];
#pragma GCC unroll 8
        for (int y = 0; y < kIn; ++y) column[y] = at(y, x);
        each(column, half[x]);
    }
#pragma GCC unroll 8
    for (int y = 0; y < kOut; ++y) {
        V row[kIn], out[kOut];
#pragma GCC unroll 8
        for (int x = 0; x < kIn; ++x) row[x] = half[x][y];
        each(row, out);
#pragma GCC unroll 8
        for (int x = 0; x < kOut; ++x) put(y, x, out[x]);
    }
}

struct Tile {
    int image, y, x;  // of its first pixel
    DN_MEMBER Tile moved(int pixels) const { return {image, y + pixels, x + pixels}; }
};

// The n-th tile of a map, of all images together.
DN_INLINE Tile tile_at(int n, int tile, int height, int width) {
    const int across = (width + tile - 1) / tile, down = (height + tile - 1) / tile, i = n % (across * down);
    return {n / (across * down), i / across * tile, i % across * tile};
}

// Where the pixels of a square are that begins at `first`; those outside of the map are `zeros`.
template <int kSide>
DN_INLINE void find_pixels(const float* (&pixels)[kSide][kSide], const float* map, std::size_t pitch, int height,
                           int width, Tile first, const float* zeros) {
    for (int i = 0; i < kSide; ++i)
        for (int j = 0; j < kSide; ++j) {
            const int y = first.y + i, x = first.x + j;
            const bool inside = y >= 0 && y < height && x >= 0 && x < width;
            const std::size_t pixel = (static_cast<std::size_t>(first.image) * height + y) * width + x;
            pixels[i][j] = inside ? map + pixel * pitch : zeros;
        }
}
