// SPDX-License-Identifier: Apache-2.0
// A 3x3 convolution in Winograd's form: each thread takes tiles of all panels of filters, or, where a layer has few
// tiles, a part of the panels.
#include "conv_winograd.hpp"
#include "../../error.hpp"
#include "conv_primitive.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kInputsBytes = 256 << 10;  // transformed inputs of the tiles that a thread takes at a time
constexpr int kEnoughTiles = 24;                 // for which transforming weights costs little
constexpr int kFewTiles = 12;                    // the least that are worth it

// Narrower layers have more transforms than products.
constexpr int kFewChannels = 32;

const float* pack_weights(const ConvTask& task) {
    const int channels = task.src.shape.c, filters = task.dst.shape.c;
    const void* packed =
        task.weights.get_words(task.owner, winograd_floats(channels, filters), WordOrder::winograd, [&](void* to) {
            Floats folded(task.params.weights.size());
            fold_weights(task.params, folded.data());
            pack_winograd(folded.data(), channels, filters, WinogradPass::forward, static_cast<float*>(to));
        });
    return static_cast<const float*>(packed);
}

class WinogradKernel : public Kernel {
public:
    WinogradKernel(const ConvTask& task, int tile)
        : tile_(tile),
          convolution_(task.runtime, tile, task.src, task.dst, task.geometry.pad_y, pack_weights(task),
                       {pack_biases(task.weights, task.owner, task.params), task.finish.activation, task.residual.f32(),
                        task.residual.pitch, task.finish.after}) {}

    void forward() override { convolution_.run(); }
    std::string what() const override { return winograd_name(tile_); }

private:
    int tile_;
    WinogradConvolution convolution_;
};

bool has_winograd_form(const ConvolutionalParams& params) {
    return params.size == 3 && params.stride_x == 1 && params.stride_y == 1 && params.dilation == 1 &&
           params.groups == 1 && params.antialiasing == 0;
}

int tile_by_shape(const Node& node, ConvMethod method) {
    if (method == ConvMethod::direct || method == ConvMethod::products) return 0;
    if (!has_winograd_form(node.as<ConvolutionalParams>())) return 0;
    if (method == ConvMethod::winograd2) return 2;
    if (method == ConvMethod::winograd4) return 4;
    if (vector_width() == VectorWidth::baseline || std::min(node.in.c, node.out.c) < kFewChannels) return 0;
    const auto products = [&](int tile) {
        return winograd_tiles(tile, 1, node.out.h, node.out.w) * (tile + 2) * (tile + 2);
    };
    return products(2) <= products(4) ? 2 : 4;
}

}  // namespace

int winograd_tile(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    const bool finishes = is_vector_activation(node.as<ConvolutionalParams>().activation) &&
                          is_vector_activation(fusion.residual_activation);
    return type == DType::f32 && finishes ? tile_by_shape(node, method) : 0;
}

int winograd_training_tile(const Node& node, DType type, ConvMethod method) {
    return type == DType::f32 ? tile_by_shape(node, method) : 0;
}

WinogradConvolution::WinogradConvolution(Runtime& runtime, int tile, const Tensor& src, const Tensor& dst, int pad,
                                         const float* weights, const Epilogue& epilogue)
    : runtime_(runtime),
      parts_(divide_winograd(tile, dst.n, src.shape, dst.shape, runtime.threads())),
      task_{tile,      src.f32(),   src.pitch,   src.shape.c, src.shape.h, src.shape.w, dst.f32(),
            dst.pitch, dst.shape.c, dst.shape.h, dst.shape.w, pad,         weights,     epilogue} {
    runtime_.reserve(parts_.scratch_of_thread * runtime_.threads());
}

void WinogradConvolution::run() const {
    const int panels = winograd_panels(task_.filters);
    const auto begin_of = [&](int part) {
        return static_cast<int>(static_cast<std::int64_t>(parts_.tiles) * part / parts_.tile_parts);
    };
    parallel_for(parts_.tile_parts * parts_.panel_parts, [&](int i) {
        const int part = i / parts_.panel_parts, panel = i % parts_.panel_parts, first = begin_of(part);
        std::byte* scratch = runtime_.scratch() + thread_index() * parts_.scratch_of_thread;
        convolve_tiles(task_, first, begin_of(part + 1) - first, panels * panel / parts_.panel_parts,
                       panels * (panel + 1) / parts_.panel_parts, reinterpret_cast<float*>(scratch));
    });
}

std::string winograd_name(int tile) { return text("winograd", tile, ":", vectors_name()); }

// Parts of as many tiles as their inputs fit the cache, as many parts for every thread.
WinogradParts divide_winograd(int tile, int images, Shape src, Shape dst, int threads) {
    WinogradParts parts{winograd_tiles(tile, images, dst.h, dst.w), 1, 1, 0};
    const std::size_t of_tile = (tile + 2) * (tile + 2) * src.c * sizeof(float);
    const int fit = std::max(kEnoughTiles, static_cast<int>(kInputsBytes / of_tile));
    parts.tile_parts = std::max(1, (parts.tiles + fit / 2) / fit);
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
