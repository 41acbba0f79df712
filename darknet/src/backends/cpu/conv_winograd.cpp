// SPDX-License-Identifier: Apache-2.0
// A 3x3 convolution in Winograd's form: each thread takes tiles of all panels of filters, or, where a layer has few
// tiles, a part of the panels.
#include "conv_winograd.hpp"
#include "../../error.hpp"
#include "conv_primitive.hpp"
#include "winograd.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kInputsBytes = 256 << 10;  // transformed inputs of the tiles that a thread takes at a time
constexpr int kEnoughTiles = 24;                 // for which transforming weights costs little
constexpr int kFewTiles = 12;                    // the least that are worth it

// Narrower layers have more transforms than products.
constexpr int kFewChannels = 32;

class WinogradKernel : public Kernel {
public:
    WinogradKernel(const ConvTask& task, int tile)
        : runtime_(task.runtime),
          parts_(divide_winograd(tile, task.dst.n, task.src.shape, task.dst.shape, task.runtime.threads())) {
        const Tensor &src = task.src, &dst = task.dst, &residual = task.residual;
        const int channels = src.shape.c, filters = dst.shape.c;
        const void* weights =
            task.weights.get_words(task.owner, winograd_floats(channels, filters), WordOrder::winograd, [&](void* to) {
                Floats folded(task.params.weights.size());
                fold_weights(task.params, folded.data());
                pack_winograd(folded.data(), channels, filters, static_cast<float*>(to));
            });
        task_ = {tile,
                 src.f32(),
                 src.pitch,
                 channels,
                 src.shape.h,
                 src.shape.w,
                 dst.f32(),
                 dst.pitch,
                 filters,
                 dst.shape.h,
                 dst.shape.w,
                 task.geometry.pad_y,
                 static_cast<const float*>(weights),
                 {pack_biases(task.weights, task.owner, task.params), task.finish.activation, residual.f32(),
                  residual.pitch, task.finish.after}};
        runtime_.reserve(parts_.scratch_of_thread * runtime_.threads());
    }

    void forward() override {
        const auto scratch = [&] { return runtime_.scratch() + thread_index() * parts_.scratch_of_thread; };
        const int panels = winograd_panels(task_.filters);
        parallel_for(parts_.tile_parts * parts_.panel_parts, [&](int i) {
            const int part = i / parts_.panel_parts, panel = i % parts_.panel_parts;
            const int first = part_begin(part);
            convolve_tiles(task_, first, part_begin(part + 1) - first, panels * panel / parts_.panel_parts,
                           panels * (panel + 1) / parts_.panel_parts, reinterpret_cast<float*>(scratch()));
        });
    }

    std::string what() const override { return text("winograd", task_.tile, ":", vectors_name()); }

private:
    int part_begin(int part) const {
        return static_cast<int>(static_cast<std::int64_t>(parts_.tiles) * part / parts_.tile_parts);
    }

    Runtime& runtime_;
    WinogradParts parts_;
    WinogradTask task_{};
};

bool suits_winograd(const Node& node, const Fusion& fusion, DType type) {
    const auto& params = node.as<ConvolutionalParams>();
    return type == DType::f32 && params.size == 3 && params.stride_x == 1 && params.stride_y == 1 &&
           params.dilation == 1 && params.groups == 1 && params.antialiasing == 0 &&
           is_vector_activation(params.activation) && is_vector_activation(fusion.residual_activation);
}

}  // namespace

int winograd_tile(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    if (method == ConvMethod::direct || method == ConvMethod::products || !suits_winograd(node, fusion, type)) return 0;
    if (method == ConvMethod::winograd2) return 2;
    if (method == ConvMethod::winograd4) return 4;
    if (vector_width() == VectorWidth::baseline || std::min(node.in.c, node.out.c) < kFewChannels) return 0;
    const auto products = [&](int tile) {
        return winograd_tiles(tile, 1, node.out.h, node.out.w) * (tile + 2) * (tile + 2);
    };
    return products(2) <= products(4) ? 2 : 4;
}

// Parts of as many tiles as their inputs fit the cache, as many parts for every thread.
WinogradParts divide_winograd(int tile, int images, Shape src, Shape dst, int threads) {
    WinogradParts parts{winograd_tiles(tile, images, dst.h, dst.w), 1, 1, 0};
    const std::size_t of_tile = (tile + 2) * (tile + 2) * src.c * sizeof(float);
    const int fit = std::max(kEnoughTiles, static_cast<int>(kInputsBytes / of_tile));
    parts.tile_parts = (parts.tiles + fit - 1) / fit;
    const int even = (parts.tile_parts + threads - 1) / threads * threads;
    if (parts.tiles / even >= kFewTiles)
        parts.tile_parts = even;
    else if (parts.tile_parts % threads != 0)
        parts.panel_parts = std::min(winograd_panels(dst.c), threads);
    const int most = (parts.tiles + parts.tile_parts - 1) / parts.tile_parts;
    parts.scratch_of_thread = aligned(winograd_scratch(tile, src.c, most) * sizeof(float));
    return parts;
}

std::size_t winograd_bytes(const FusedGraph& fused, DType type, const PlanOptions& options) {
    std::size_t largest = 0;
    for (const Node& node : fused.graph.nodes) {
        if (node.kind != Kind::convolutional) continue;
        const int tile = winograd_tile(node, fused.of(node.index), type, options.convolutions);
        if (tile == 0) continue;
        const auto parts = divide_winograd(tile, options.batch, node.in, node.out, options.threads);
        largest = std::max(largest, parts.scratch_of_thread * options.threads);
    }
    return largest;
}

std::unique_ptr<Kernel> make_winograd_convolution(const ConvTask& task, int tile) {
    return std::make_unique<WinogradKernel>(task, tile);
}

}  // namespace dn::cpu
