// SPDX-License-Identifier: Apache-2.0
// Shapes and views. Axes are named once, here: n images, c channels, h rows, w columns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dn {

// Size of one image's activation. A flat layer (connected, softmax) is {c, 1, 1}.
struct Shape {
    int c = 0, h = 0, w = 0;
    std::size_t size() const { return static_cast<std::size_t>(c) * h * w; }
    friend bool operator==(Shape a, Shape b) { return a.c == b.c && a.h == b.h && a.w == b.w; }
    friend bool operator!=(Shape a, Shape b) { return !(a == b); }
};

enum class DType { f32, bf16, f16 };  // f16 on GPUs alone

inline std::size_t bytes(DType type) { return type == DType::f32 ? 4 : 2; }

// A view of activations in the layout of the backend that owns them:
//   ref: planes,        element (i, c, y, x) at ((i*C + c)*H + y)*W + x, `pitch` unused
//   cpu: channels last, element (i, c, y, x) at ((i*H + y)*W + x)*pitch + c, pitch >= C
// so that a channel slice of a channels-last tensor is a view again.
struct Tensor {
    void* data = nullptr;
    void* delta = nullptr;  // gradient, negative as Darknet has it; same layout; null outside training
    DType type = DType::f32;
    int n = 0;
    Shape shape;
    std::size_t pitch = 0;

    bool dense() const { return pitch == static_cast<std::size_t>(shape.c); }
    float* f32() const { return static_cast<float*>(data); }
    std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data); }
    float* delta_f32() const { return static_cast<float*>(delta); }
    std::size_t size() const { return n * shape.size(); }
};

// The delta of a tensor as a tensor.
inline Tensor delta_of(Tensor tensor) {
    tensor.data = tensor.delta;
    return tensor;
}

}  // namespace dn
