// SPDX-License-Identifier: Apache-2.0
#include "layout.hpp"

#include <cstring>
#include <vector>

#include "kernels/portable.cuh"

namespace dn::cuda {
namespace {

template <class T>
float load_as(const std::byte* values, std::size_t i) {
    T value{};
    std::memcpy(&value, values + i * sizeof value, sizeof value);
    return widen(value);
}

template <class T>
void store_as(std::byte* values, std::size_t i, float value) {
    T narrowed{};
    narrow(value, &narrowed);
    std::memcpy(values + i * sizeof narrowed, &narrowed, sizeof narrowed);
}

// Bytes from a tensor's first value to its last.
std::size_t span_of(const Tensor& tensor) {
    const std::size_t pixels = std::size_t{1} * tensor.n * tensor.shape.h * tensor.shape.w;
    return pixels ? ((pixels - 1) * tensor.pitch + tensor.shape.c) * bytes(tensor.type) : 0;
}

// Calls visit(offset of a value in the tensor, index of the same value in planes).
template <class Visit>
void for_values(const Tensor& tensor, const Visit& visit) {
    const std::size_t pixels = std::size_t{1} * tensor.shape.h * tensor.shape.w;
    for (int i = 0; i < tensor.n; ++i)
        for (int c = 0; c < tensor.shape.c; ++c)
            for (std::size_t p = 0; p < pixels; ++p)
                visit((i * pixels + p) * tensor.pitch + c, (std::size_t{1} * i * tensor.shape.c + c) * pixels + p);
}

}  // namespace

float load_value(const std::byte* values, std::size_t i, DType type) {
    return type == DType::f32    ? load_as<float>(values, i)
           : type == DType::bf16 ? load_as<bf16>(values, i)
                                 : load_as<f16>(values, i);
}

void store_value(std::byte* values, std::size_t i, DType type, float value) {
    type == DType::f32    ? store_as<float>(values, i, value)
    : type == DType::bf16 ? store_as<bf16>(values, i, value)
                          : store_as<f16>(values, i, value);
}

void HostLayout::to_planes(const Tensor& src, float* dst) const {
    std::vector<std::byte> values(span_of(src));
    stream_->download(src.data, values.data(), span_of(src));
    stream_->synchronize();
    for_values(src, [&](std::size_t from, std::size_t to) { dst[to] = load_value(values.data(), from, src.type); });
}

void HostLayout::from_planes(const float* src, const Tensor& dst) const {
    std::vector<std::byte> values(span_of(dst));
    if (!dst.dense()) {  // what stands between the channels stays
        stream_->download(dst.data, values.data(), span_of(dst));
        stream_->synchronize();
    }
    for_values(dst, [&](std::size_t to, std::size_t from) { store_value(values.data(), to, dst.type, src[from]); });
    stream_->upload(values.data(), dst.data, span_of(dst));
    stream_->synchronize();
}

}  // namespace dn::cuda
