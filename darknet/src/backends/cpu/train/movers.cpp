// SPDX-License-Identifier: Apache-2.0
// [route], unweighted [shortcut] and [upsample] in training: what inference does forward, and deltas moved backward.
#include <cstring>

#include "../elementwise.hpp"
#include "slopes.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kMoved = 8192;  // values that a thread moves at a time

// Converted through float32, in rows that stay in the cache.
void move_pixel(const void* from, DType from_type, void* to, DType to_type, std::size_t channels, bool overwrite) {
    float row[kRow], sum[kRow];
    for (std::size_t c = 0; c < channels; c += kRow) {
        const std::size_t count = std::min(kRow, channels - c);
        load(row, at(from, from_type, c), from_type, count);
        if (!overwrite) {
            load(sum, at(to, to_type, c), to_type, count);
            add(row, sum, count);
        }
        store(at(to, to_type, c), to_type, row, count);
    }
}

class Mover : public TrainKernel {
public:
    Mover(const TrainContext& context, MakeCpuKernel make)
        : context_(context),
          forward_(make(
              Context{context, context.runtime, context.weights, ConvMethod::automatic, context.compute, {}, {}})) {}
    std::string what() const override { return forward_ ? forward_->what() : "view"; }
    void forward() override {
        if (forward_) forward_->forward();
    }

protected:
    const TrainContext context_;

private:
    std::unique_ptr<Kernel> forward_;
};

class TrainRoute : public Mover {
public:
    using Mover::Mover;
    void backward() override {
        const auto& params = context_.node.as<RouteParams>();
        int at = 0;
        for (std::size_t s = 0; s < context_.src.size(); ++s) {
            const Tensor target = delta_of(context_.src[s]);
            const int part = target.shape.c / params.groups;
            if (target.data) {
                if (context_.overwrite[s] && params.groups > 1) clear(target);
                move_channels(delta_of(context_.dst), at, target, params.group_id * part, part, context_.overwrite[s]);
            }
            at += part;
        }
    }
};

class TrainShortcut : public Mover {
public:
    using Mover::Mover;
    void backward() override {
        const Tensor delta = delta_of(context_.dst);
        for (std::size_t s = 0; s < context_.src.size(); ++s) {
            const Tensor target = delta_of(context_.src[s]);
            if (!target.data) continue;
            const int shared = std::min(target.shape.c, delta.shape.c);
            if (context_.overwrite[s] && shared < target.shape.c) clear(target);
            move_channels(delta, 0, target, 0, shared, context_.overwrite[s]);
        }
    }
};

class TrainUpsample : public Mover {
public:
    using Mover::Mover;
    void backward() override {
        const Tensor delta = delta_of(context_.dst), target = delta_of(context_.src[0]);
        if (!target.data) return;
        parallel_for(target.n * target.shape.h, [&](int i) {
            const int image = i / target.shape.h, y = i % target.shape.h;
            for (int x = 0; x < target.shape.w; ++x) collect(delta, target, image, y, x);
        });
    }

private:
    void collect(const Tensor& delta, const Tensor& target, int image, int y, int x) const {
        const auto& params = context_.node.as<UpsampleParams>();
        const std::size_t channels = target.shape.c;
        const std::size_t to = (static_cast<std::size_t>(image) * target.shape.h + y) * target.shape.w + x;
        float sum[kRow], row[kRow];
        for (std::size_t c = 0; c < channels; c += kRow) {
            const std::size_t count = std::min(kRow, channels - c);
            std::fill(sum, sum + count, 0.0f);
            for (int v = 0; v < params.stride; ++v)
                for (int u = 0; u < params.stride; ++u) {
                    const std::size_t from =
                        (static_cast<std::size_t>(image) * delta.shape.h + y * params.stride + v) * delta.shape.w +
                        x * params.stride + u;
                    load(row, at(delta.data, delta.type, from * channels + c), delta.type, count);
                    add(sum, row, count);
                }
            scale(sum, params.scale, count);
            void* there = at(target.data, target.type, to * channels + c);
            if (!context_.overwrite[0]) {
                load(row, there, target.type, count);
                add(sum, row, count);
            }
            store(there, target.type, sum, count);
        }
    }
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_mover(const TrainContext& context) {
    switch (context.node.kind) {
        case Kind::route:
            return std::make_unique<TrainRoute>(context, make_route);
        case Kind::shortcut:
            return std::make_unique<TrainShortcut>(context, make_shortcut);
        default:
            return std::make_unique<TrainUpsample>(context, make_upsample);
    }
}

void move_channels(const Tensor& from, int from_channel, const Tensor& to, int to_channel, int channels,
                   bool overwrite) {
    const std::size_t pixels = to.size() / to.shape.c, step = std::max<std::size_t>(1, kMoved / channels);
    parallel_for(static_cast<int>((pixels + step - 1) / step), [&](int part) {
        const std::size_t pixel = part * step, rows = std::min(step, pixels - pixel), count = channels;
        const void* source = at(from.data, from.type, pixel * from.pitch + from_channel);
        void* there = at(to.data, to.type, pixel * to.pitch + to_channel);
        if (overwrite && from.type == to.type)
            copy_rows(there, to.pitch * bytes(to.type), source, from.pitch * bytes(from.type), count * bytes(to.type),
                      rows);
        else if (from.type == DType::f32 && to.type == DType::f32)
            add_rows(static_cast<float*>(there), to.pitch, static_cast<const float*>(source), from.pitch, count, rows);
        else
            for (std::size_t i = 0; i < rows; ++i)
                move_pixel(at(source, from.type, i * from.pitch), from.type, at(there, to.type, i * to.pitch), to.type,
                           count, overwrite);
    });
}

void clear(const Tensor& tensor) {
    std::memset(tensor.data, 0, tensor.size() * bytes(tensor.type));  // dense; 0 is 0 in every type
}

}  // namespace dn::cpu
