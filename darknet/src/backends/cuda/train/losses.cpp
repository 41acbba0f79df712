// SPDX-License-Identifier: Apache-2.0
#include "losses.hpp"

#include <algorithm>
#include <utility>

#include "../../../error.hpp"
#include "../../../losses/anchor_loss.hpp"
#include "../../../losses/region.hpp"
#include "../layout.hpp"
#include "../planes.hpp"

namespace dn::cuda {
namespace {

// Blocks that sum squares; by the size alone, which fixes the order.
int square_blocks(const Tensor& output) {
    constexpr std::size_t kValues = 4096, kMost = 256;
    return static_cast<int>(std::clamp(output.size() / kValues, std::size_t{1}, kMost));
}

bool is_anchor_head(const Node& node) { return node.kind == Kind::yolo || node.kind == Kind::gaussian_yolo; }
bool is_on_device(const Node& node) { return is_anchor_head(node) || node.kind == Kind::region; }

LossTables tables_of(const Node& node, Shape net_input) {
    return is_anchor_head(node) ? anchor_tables(node.as<YoloParams>(), net_input)
                                : region_tables(node.as<RegionParams>());
}

std::size_t plane_bytes(const Tensor& tensor) { return tensor.size() * sizeof(float); }

class LossOnHost : public HeadLoss {
public:
    LossOnHost(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime)
        : HeadLoss(layer, state, runtime),
          output_(runtime.device(), plane_bytes(layer.output)),
          delta_(runtime.device(), plane_bytes(layer.output)) {
        declare_planes(runtime, DType::f32);
        runtime.reserve(loss_scratch_bytes(layer.node, layer.output));
    }

    bool on_host() const override { return true; }

    bool prepare(const LossContext& context) override {
        context_ = context;
        return false;
    }

    void launch() override {
        auto* planes = reinterpret_cast<float*>(runtime_.scratch());
        to_planes(runtime_, layer_.output, planes);
        runtime_.stream.download(planes, output_.get<float>(), output_.bytes());
        runtime_.stream.synchronize();
        std::fill_n(delta_.get<float>(), layer_.output.size(), 0.0f);
        report_ = loss(layer_.node, context_, output_.get<float>(), delta_.get<float>());
    }

    void pass_back() override {
        auto* planes = reinterpret_cast<float*>(runtime_.scratch());
        runtime_.stream.upload(delta_.get<float>(), planes, delta_.bytes());
        Tensor own = layer_.output;
        own.data = planes + own.size();
        from_planes(runtime_, planes, own);
        HeadLoss::pass_back(planes + own.size());
    }

    LossReport report() const override { return report_; }

    void read_delta(float* planes) const override { std::copy_n(delta_.get<float>(), layer_.output.size(), planes); }

private:
    PinnedBuffer output_, delta_;  // planes
    LossContext context_;
    LossReport report_;
};

// The truths of a mini-batch on the device: how many each image has, and their boxes, `most` places an image.
class DeviceTruths {
public:
    DeviceTruths(int images, Runtime& runtime) : images_(images), runtime_(runtime) {}

    // Of the classes 0 .. classes - 1. Whether they have another place than before.
    bool take(const Truths& truths, int classes) {
        const bool grows = reserve(std::max(1, static_cast<int>(truths.stride / kTruthRow)));
        for (int image = 0; image < images_; ++image) {
            const std::vector<TruthBox> found = truths_of(truths, image, classes);
            host_.get<int>()[image] = static_cast<int>(found.size());
            std::copy(found.begin(), found.end(), boxes(host_.get<int>()) + static_cast<std::size_t>(image) * most_);
        }
        return grows;
    }
    void upload() const { runtime_.stream.upload(host_.get<int>(), device_.get(), device_.bytes()); }

    int most() const { return most_; }
    int places() const { return images_ * most_; }
    const int* counts() const { return device_.get<int>(); }
    const TruthBox* boxes() const { return boxes(device_.get<int>()); }
    AssignmentSums* sums() const { return sums_.get<AssignmentSums>(); }  // room for one a place

private:
    bool reserve(int rows) {
        if (rows <= most_) return false;
        most_ = rows;
        const std::size_t bytes = images_ * sizeof(int) + places() * sizeof(TruthBox);
        host_ = PinnedBuffer(runtime_.device(), bytes);
        device_ = DeviceBuffer(runtime_.device(), bytes);
        sums_ = DeviceBuffer(runtime_.device(), places() * sizeof(AssignmentSums));
        return true;
    }
    TruthBox* boxes(int* counts) const { return reinterpret_cast<TruthBox*>(counts + images_); }

    const int images_;
    Runtime& runtime_;
    int most_ = 0;
    PinnedBuffer host_;
    DeviceBuffer device_, sums_;
};

// Head: AnchorHead or RegionHead.
template <class Head>
class LossOnDevice : public HeadLoss {
public:
    using Rule = KernelName<HeadLossArgs<Head>>;

    LossOnDevice(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime, const Head& head, int classes,
                 const Rule& punish, const Rule& assign)
        : HeadLoss(layer, state, runtime),
          head_(head),
          classes_(classes),
          truths_(layer.output.n, runtime),
          totals_(runtime.device(), sizeof(LossTotals)),
          punish_(runtime, punish, DType::f32),
          assign_(runtime, assign, DType::f32),
          sum_squares_(runtime, kernel::sum_squares, DType::f32),
          sum_(runtime, kernel::sum_loss, DType::f32) {
        head_.output = static_cast<const float*>(layer.output.data);
        head_.delta = layer.parts.delta;
        head_.image_step = static_cast<long long>(layer.output.shape.size());
        const LossTables tables = tables_of(layer.node, layer.net_input);
        runtime.stream.upload(tables.floats.data(), layer.parts.floats, tables.floats.size() * sizeof(float));
        if (!tables.ints.empty())
            runtime.stream.upload(tables.ints.data(), layer.parts.ints, tables.ints.size() * sizeof(int));
        runtime.stream.synchronize();
    }

    bool on_host() const override { return false; }

    bool prepare(const LossContext& context) override {
        if (context.truths.n != layer_.output.n)
            throw Error(Status::internal, layer_.node.where,
                        text("found truths of ", context.truths.n, " images, expected ", layer_.output.n));
        return truths_.take(context.truths, classes_);
    }

    void launch() override {
        runtime_.stream.clear(head_.delta, plane_bytes(layer_.output));
        truths_.upload();
        punish_(predictions(), args());
        assign_(truths_.places(), args());
        finish();
        add_up();
    }

    void pass_back() override { HeadLoss::pass_back(head_.delta); }

    void read_delta(float* planes) const override {
        Tensor delta = layer_.output;
        delta.data = head_.delta;
        HostLayout(runtime_.stream).to_planes(delta, planes);
    }

protected:
    // Rules behind the assignment of truths.
    virtual void finish() {}
    // Of a prediction, and those of them that are its box.
    virtual std::pair<int, int> entries() const = 0;

    long long predictions() const { return pixels_of(layer_.output) * head_.anchors; }
    HeadLossArgs<Head> args() const {
        return {head_, layer_.output.n, truths_.most(), truths_.counts(), truths_.boxes(), truths_.sums()};
    }
    const LossTotals& totals() const { return *totals_.get<LossTotals>(); }

    Head head_;

private:
    void add_up() const {
        const LossParts& parts = layer_.parts;
        const auto [entries, boxes] = this->entries();
        const int blocks = square_blocks(layer_.output);
        sum_squares_(Grid{static_cast<unsigned>(blocks)},
                     {head_.delta, static_cast<long long>(layer_.output.size()), entries, boxes, parts.squares});
        sum_(Grid{1},
             {parts.squares, blocks, layer_.output.n, truths_.most(), truths_.counts(), truths_.sums(), parts.totals});
        runtime_.stream.download(parts.totals, totals_.get<LossTotals>(), sizeof(LossTotals));
    }

    const int classes_;
    DeviceTruths truths_;
    PinnedBuffer totals_;
    Launch<HeadLossArgs<Head>> punish_, assign_;
    Launch<SquaresArgs> sum_squares_;
    Launch<LossTotalsArgs> sum_;
};

class AnchorLossOnDevice : public LossOnDevice<AnchorHead> {
public:
    AnchorLossOnDevice(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime)
        : LossOnDevice(layer, state, runtime, anchor_head(layer.node, layer.parts.floats, layer.parts.ints),
                       layer.node.as<YoloParams>().classes, kernel::anchor_punish, kernel::anchor_assign),
          average_(runtime, kernel::anchor_average, DType::f32) {
        head_.entry_step = 1;
        head_.cell_step = layer.output.shape.c;
    }

    LossReport report() const override {
        const LossTotals& found = totals();
        return anchor_report(layer_.node.as<YoloParams>(), found.sums, found.squares.all, found.squares.boxes);
    }

protected:
    void finish() override {
        if (averages_boxes(head_)) average_(predictions(), args());
    }
    std::pair<int, int> entries() const override { return {head_.entries, objectness_of(head_)}; }

private:
    Launch<AnchorLossArgs> average_;
};

class RegionLossOnDevice : public LossOnDevice<RegionHead> {
public:
    RegionLossOnDevice(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime)
        : LossOnDevice(layer, state, runtime, region_head(layer.node, layer.parts.floats, layer.parts.ints),
                       layer.node.as<RegionParams>().classes, kernel::region_punish, kernel::region_assign) {
        head_.cells = head_.width * head_.height;
    }

    bool prepare(const LossContext& context) override {
        const bool moved = LossOnDevice::prepare(context), warms_up = region_warms_up(context.seen);
        const bool changed = head_.warms_up != warms_up;
        head_.warms_up = warms_up;
        return moved || changed;
    }

    LossReport report() const override { return region_report(totals().sums, totals().squares.all); }

protected:
    std::pair<int, int> entries() const override { return {1, 0}; }
};

}  // namespace

LossParts take_loss(Parts& parts, const Node& node, const Tensor& output, Shape net_input) {
    LossParts taken;
    if (!owns_cost(node) || !is_on_device(node)) return taken;
    const LossTables tables = tables_of(node, net_input);
    taken.delta = parts.take<float>(output.size());
    taken.floats = parts.take<float>(tables.floats.size());
    taken.ints = parts.take<int>(tables.ints.size());
    taken.squares = parts.take<SquareSums>(square_blocks(output));
    taken.totals = parts.take<LossTotals>(1);
    return taken;
}

std::size_t loss_scratch_bytes(const Node& node, const Tensor& output) {
    return owns_cost(node) && !is_on_device(node) ? 2 * plane_bytes(output) : 0;
}

HeadLoss::HeadLoss(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime)
    : layer_(layer),
      runtime_(runtime),
      scale_(state.scale()),
      pass_back_(runtime, kernel::pass_back_loss, DType::f32) {}

void HeadLoss::pass_back(const float* delta) const {
    const auto count = static_cast<long long>(layer_.output.size());
    pass_back_(count, {delta, static_cast<float*>(layer_.output.delta), count, scale_, layer_.receives});
}

std::unique_ptr<HeadLoss> make_loss(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime) {
    if (is_anchor_head(layer.node)) return std::make_unique<AnchorLossOnDevice>(layer, state, runtime);
    if (layer.node.kind == Kind::region) return std::make_unique<RegionLossOnDevice>(layer, state, runtime);
    return std::make_unique<LossOnHost>(layer, state, runtime);
}

}  // namespace dn::cuda
