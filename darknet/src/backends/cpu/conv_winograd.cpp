// SPDX-License-Identifier: Apache-2.0
// A 3x3 convolution in Winograd's form: each thread takes tiles of all panels of filters, or, where a layer has few
// tiles, a part of the panels.
#include "../../error.hpp"
#include "conv_primitive.hpp"
#include "cpu.hpp"
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
    WinogradKernel(const ConvTask& task, int tile) : runtime_(task.runtime), dst_(task.dst) {
        const Tensor &src = task.src, &dst = task.dst, &residual = task.residual;
        const int channels = src.shape.c, filters = dst.shape.c;
        const void* weights =
            task.weights.get_words(task.owner, winograd_floats(channels, filters), WordOrder::winograd, [&](void* to) {
                Floats folded(task.params.weights.size());
                fold_weights(task.params, folded.data());
                pack_winograd(folded.data(), channels, filters, false, static_cast<float*>(to));
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
        divide();
        scratch_floats_ = aligned(winograd_scratch(tile, channels, part_tiles_) * sizeof(float)) / sizeof(float);
        runtime_.reserve(scratch_floats_ * sizeof(float) * runtime_.threads());
    }

    void forward() override {
        auto* scratch = reinterpret_cast<float*>(runtime_.scratch());
        const int panels = winograd_panels(task_.filters);
        parallel_for(tile_parts_ * panel_parts_, [&](int i) {
            const int part = i / panel_parts_, panel = i % panel_parts_;
            const int first = part_begin(part);
            convolve_tiles(task_, first, part_begin(part + 1) - first, panels * panel / panel_parts_,
                           panels * (panel + 1) / panel_parts_, scratch + thread_index() * scratch_floats_);
        });
    }

    std::string what() const override { return text("winograd", task_.tile, ":", vectors_name()); }

private:
    // Parts of as many tiles as their inputs fit the cache, as many parts for every thread.
    void divide() {
        const int threads = runtime_.threads(), panels = winograd_panels(task_.filters);
        tiles_ = winograd_tiles(task_.tile, dst_.n, task_.out_height, task_.out_width);
        const std::size_t of_tile = (task_.tile + 2) * (task_.tile + 2) * task_.channels * sizeof(float);
        const int fit = std::max(kEnoughTiles, static_cast<int>(kInputsBytes / of_tile));
        tile_parts_ = (tiles_ + fit - 1) / fit;
        const int even = (tile_parts_ + threads - 1) / threads * threads;
        if (tiles_ / even >= kFewTiles)
            tile_parts_ = even;
        else if (tile_parts_ % threads != 0)
            panel_parts_ = std::min(panels, threads);
        part_tiles_ = (tiles_ + tile_parts_ - 1) / tile_parts_;
    }

    int part_begin(int part) const { return static_cast<int>(static_cast<std::int64_t>(tiles_) * part / tile_parts_); }

    Runtime& runtime_;
    Tensor dst_;
    WinogradTask task_{};
    int tiles_ = 0, tile_parts_ = 1, panel_parts_ = 1, part_tiles_ = 0;
    std::size_t scratch_floats_ = 0;  // of a thread
};

bool suits_winograd(const Node& node, const Fusion& fusion, DType type) {
    const auto& params = node.as<ConvolutionalParams>();
    return type == DType::f32 && params.size == 3 && params.stride_x == 1 && params.stride_y == 1 &&
           params.dilation == 1 && params.groups == 1 && params.antialiasing == 0 &&
           is_vector_activation(params.activation) && is_vector_activation(fusion.residual_activation);
}

}  // namespace

int winograd_tile(const Node& node, const Fusion& fusion, DType type, ConvMethod method) {
    if (method == ConvMethod::direct || !suits_winograd(node, fusion, type)) return 0;
    if (method == ConvMethod::winograd2) return 2;
    if (method == ConvMethod::winograd4) return 4;
    if (vector_width() == VectorWidth::baseline || std::min(node.in.c, node.out.c) < kFewChannels) return 0;
    const auto products = [&](int tile) {
        return winograd_tiles(tile, 1, node.out.h, node.out.w) * (tile + 2) * (tile + 2);
    };
    return products(2) <= products(4) ? 2 : 4;
}

std::unique_ptr<Kernel> make_winograd_convolution(const ConvTask& task, int tile) {
    return std::make_unique<WinogradKernel>(task, tile);
}

}  // namespace dn::cpu
