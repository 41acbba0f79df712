// SPDX-License-Identifier: Apache-2.0
// Images of a mini-batch that the device composes of tiles; see tile.hpp.
#pragma once

#include <optional>

#include "../../../tile.hpp"
#include "../kernels/compose.cuh"
#include "../launch.hpp"

namespace dn::cuda {

class TileInput {
public:
    // What a mini-batch takes at most; more than its planes.
    static std::size_t bytes(Shape input, int images);

    TileInput(const Runtime& runtime, const Tensor& target) : runtime_(runtime), target_(target) {}

    // Copies tiles that were checked, and returns the bytes that they take. The first call compiles the kernel.
    std::size_t copy(const Tile* tiles, int count, std::byte* to);
    // From a copy on the device to the tensor.
    void enqueue(const void* data) const;

private:
    const Runtime& runtime_;
    const Tensor target_;
    std::optional<Launch<ComposeArgs>> compose_;
};

}  // namespace dn::cuda
