// SPDX-License-Identifier: Apache-2.0
// The vector type of one instruction set and its arithmetic; see each_isa.hpp. Operators are the compiler's own.

constexpr int kLanes = DN_LANES;
constexpr int kRegisters = DN_REGISTERS;
typedef float V __attribute__((vector_size(DN_LANES * 4)));
typedef std::int32_t I __attribute__((vector_size(DN_LANES * 4)));

DN_INLINE V load(const float* x) {
    V v;
    std::memcpy(&v, x, sizeof v);
    return v;
}

DN_INLINE void store(float* x, V v) { std::memcpy(x, &v, sizeof v); }

// The first `count` lanes; the others are 0.
DN_INLINE V load_part(const float* x, int count) {
    V v{};
    for (int i = 0; i < count; ++i) v[i] = x[i];
    return v;
}

DN_INLINE void store_part(float* x, V v, int count) {
    for (int i = 0; i < count; ++i) x[i] = v[i];
}

DN_INLINE V broadcast(float x) { return x - V{}; }
DN_INLINE V larger(V x, V y) { return x > y ? x : y; }
DN_INLINE V smaller(V x, V y) { return x < y ? x : y; }

// e^x to 2 ulp, as exp_of(float).
DN_INLINE V exp_of(V x) {
    x = smaller(larger(x, broadcast(-87.0f)), broadcast(88.0f));
    const V round = broadcast(12582912.0f);
    const V shifted = x * 1.44269504f + round;
    const V n = shifted - round;
    const V f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    V p = f * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * (f * f) + f + 1.0f;
    return (V)((I)p + ((I)shifted << 23));
}

// The activations of is_vector_activation().
DN_INLINE V activated(V x, Activation activation) {
    switch (activation) {
        case Activation::leaky:
            return larger(x * 0.1f, x);
        case Activation::relu:
            return larger(x, V{});
        case Activation::logistic:
            return 1.0f / (1.0f + exp_of(-x));
        case Activation::swish:
            return x / (1.0f + exp_of(-x));
        case Activation::mish: {
            const V e = exp_of(smaller(x, broadcast(20.0f)));
            const V n = e * (e + 2.0f);
            return x * (n / (n + 2.0f));
        }
        default:
            return x;
    }
}
