// SPDX-License-Identifier: Apache-2.0
// Packing of buffers into one arena: the largest first, each at the lowest offset free over its whole life.
#include <algorithm>
#include <numeric>

#include "passes.hpp"

namespace dn {
namespace {

std::size_t rounded(std::size_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

bool alive_together(const Buffer& a, const Buffer& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

std::size_t pack_arena(std::vector<Buffer>& buffers, int batch) {
    const auto size_of = [&](const Buffer& buffer) {
        return rounded(batch * buffer.shape.size() * bytes(buffer.type));
    };
    std::vector<Buffer*> order;
    for (Buffer& buffer : buffers) order.push_back(&buffer);
    std::stable_sort(order.begin(), order.end(), [&](Buffer* a, Buffer* b) { return size_of(*a) > size_of(*b); });

    std::size_t arena = 0;
    std::vector<Buffer*> placed;  // sorted by start
    for (Buffer* buffer : order) {
        const std::size_t need = size_of(*buffer);
        std::size_t start = 0;
        for (const Buffer* other : placed) {
            if (!alive_together(*buffer, *other)) continue;
            if (other->start >= start + need) break;
            start = std::max(start, other->start + size_of(*other));
        }
        buffer->start = start;
        arena = std::max(arena, start + need);
        const auto after = [](std::size_t value, const Buffer* other) { return value < other->start; };
        placed.insert(std::upper_bound(placed.begin(), placed.end(), start, after), buffer);
    }
    return arena;
}

Tensor tensor_in(const FusedGraph& fused, const Placement& placement, int node, int batch, std::byte* arena) {
    const Place& place = placement.of(node);
    const Buffer& buffer = placement.buffers[place.buffer];
    Tensor tensor;
    tensor.data = arena + buffer.start + place.offset * bytes(buffer.type);
    tensor.type = buffer.type;
    tensor.n = batch;
    tensor.shape = fused.graph.shape_of(node);
    tensor.pitch = buffer.shape.c;
    return tensor;
}

}  // namespace dn
