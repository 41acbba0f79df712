// SPDX-License-Identifier: Apache-2.0
// The state of a training on a device: what plans read and add to, and what updates move.
//
// Kernels of a plan take addresses from here, all of float32 in the order of a weights file, and of the node that owns
// the weights; null: it has no such array. They are the same for as long as the state lives. State and plans have a
// stream each, and every function of both waits for its own before it returns: what one has written, the other reads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../../backend.hpp"
#include "../kernels/update.cuh"
#include "../launch.hpp"
#include "../nccl.hpp"

namespace dn::cuda {

// Filters as kernels for convolutions read them: in the type of their plan, (filters, height, width, channels).
struct PackedFilters {
    DType type;
    int channels;  // of a group
    int window;    // height * width
};

class CudaTrainState : public TrainState {
public:
    // The parameters are on the host, locked, and outlive it.
    CudaTrainState(const Graph& graph, Parameters& parameters, std::shared_ptr<Engine> engine);

    std::size_t count(StateKind kind, int node, Role role) const override;
    void get(StateKind kind, int node, Role role, float* dst) const override;
    void set(StateKind kind, int node, Role role, const float* src) override;
    void update(const UpdateRule& rule) override;
    void begin_batch(std::uint64_t seen) override;
    void keep_batch() override;
    void begin_share(std::uint64_t seen) override;
    void get_share(int node, Role role, float* dst) const override;
    std::string first_non_finite() const override;
    std::string why_no_group() const override { return engine_->device->libraries().nccl_missing; }
    WorkerGroupId group_id() const override { return Group::make_id(*engine_->device); }
    void join_group(const WorkerGroupId& id, int number, int count, double limit) override;
    void sum_gradients(double limit) override;
    void set_loss_scale(float factor) override;
    void begin_update() override;
    void drop_update() override;
    bool has_overflowed() const override;

    // Bytes on the device of such a state, filters packed in this precision included.
    static std::size_t bytes(const Graph& graph, Precision precision);
    std::size_t bytes_in_use() const;  // of these

    // What the network computes with. Rolling statistics are those in front of the mini-batch.
    float* parameters(int node, Role role) const;
    // Of trained arrays: backward adds to them negative gradients (Darknet's sign), divided by the loss scale.
    float* gradients(int node, Role role) const;
    // Means and variances: forward of a layer in training moves these.
    float* rolling(int node, Role role) const;
    // Images trained on, those of the mini-batch included, by which random numbers are drawn.
    const unsigned long long* seen() const { return counters_.get<unsigned long long>(); }

    // The weights of a node, made on first use and packed again whenever they change.
    const void* packed(int node, const PackedFilters& as);

    // Backward multiplies what it takes from the losses by it; what Plan::read_delta returns is divided again.
    float loss_scale() const { return loss_scale_; }
    // The factor that takes it out of gradients of parameters, 1 / loss_scale(), for kernels: on the device.
    const float* unscale() const { return scales_.get<float>(); }
    // The loss scale, likewise.
    const float* scale() const { return unscale() + 1; }

private:
    // An array's place in its arenas.
    struct Slot {
        int node;
        Role role;
        std::size_t first, count;
    };
    // Arrays one behind the other, each aligned as the device wants it; zeros between them.
    class Layout {
    public:
        Layout(const Graph& graph, bool trained);
        const Slot* find(int node, Role role) const;
        const std::vector<Slot>& slots() const { return slots_; }
        std::size_t bytes() const { return floats_ * sizeof(float); }
        std::size_t floats() const { return floats_; }

    private:
        std::vector<Slot> slots_;
        std::size_t floats_ = 0;
    };
    struct Packed {
        PackedFilters as{};
        const Slot* weights = nullptr;
        DeviceBuffer buffer;
    };

    const Slot* slot_of(StateKind kind, int node, Role role) const;
    const DeviceBuffer& arena_of(StateKind kind, Role role) const;
    static float* address(const DeviceBuffer& arena, const Slot* slot);  // null without a slot
    float* parameters_of(int owner, Role role) const;
    DeviceBuffer zeros(const Layout& layout) const;
    void copy_arena(const DeviceBuffer& from, const DeviceBuffer& to) const;
    void download(const float* from, std::size_t count, float* dst) const;
    void pack(const Packed& packed) const;
    void move(const UpdateSpan& span, const UpdateRule& rule) const;
    void update_ema(const UpdateRule& rule, bool begins) const;
    void set_seen(std::uint64_t seen);
    bool all_finite(const std::vector<const DeviceBuffer*>& arenas) const;

    Parameters& host_;  // own this state
    std::shared_ptr<Engine> engine_;
    Stream stream_;
    std::vector<int> owners_;         // by node
    std::vector<std::string> where_;  // by node
    Layout trained_layout_, rolling_layout_;
    DeviceBuffer trained_, gradients_, adam_m_, adam_v_, ema_;  // no bytes: there is none
    DeviceBuffer kept_gradients_, kept_rolling_;                // likewise, without a loss scale
    DeviceBuffer rolling_, batch_rolling_;                      // of the network, and of the mini-batch
    DeviceBuffer counters_, scales_, found_;
    std::uint64_t seen_;
    float loss_scale_ = 1;
    std::map<std::pair<int, DType>, Packed> packed_;  // by the node that owns the weights
    Launch<SgdArgs> sgd_;
    Launch<AdamArgs> adam_;
    Launch<BlendArgs> blend_;
    Launch<FindNonFiniteArgs> find_non_finite_;
    std::unique_ptr<Group> group_;  // of several workers
};

// The state of a training that this backend made. Throws Error(internal) for another backend's.
CudaTrainState& state_of(const Training& training);

}  // namespace dn::cuda
