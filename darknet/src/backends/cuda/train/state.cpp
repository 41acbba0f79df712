// SPDX-License-Identifier: Apache-2.0
// The operations of an update, and their order, are those of backends/host/train_state.cpp.
#include "state.hpp"

#include <algorithm>
#include <cmath>

#include "../../../error.hpp"
#include "../layer_kernels.hpp"

namespace dn::cuda {
namespace {

constexpr std::size_t kStep = kDeviceAlignment / sizeof(float);  // between the first values of two arrays

long long as_count(std::size_t floats) { return static_cast<long long>(floats); }

}  // namespace

CudaTrainState::Layout::Layout(const Graph& graph, bool trained) {
    for (const Node& node : graph.nodes)
        for (const ArraySpec& spec : node.arrays) {
            if (is_rolling(spec.role) == trained) continue;
            slots_.push_back({node.index, spec.role, floats_, spec.count});
            floats_ += (spec.count + kStep - 1) / kStep * kStep;
        }
}

const CudaTrainState::Slot* CudaTrainState::Layout::find(int node, Role role) const {
    const auto before = [](const Slot& slot, int wanted) { return slot.node < wanted; };
    auto slot = std::lower_bound(slots_.begin(), slots_.end(), node, before);
    while (slot != slots_.end() && slot->node == node && slot->role != role) ++slot;
    return slot != slots_.end() && slot->node == node ? &*slot : nullptr;
}

CudaTrainState::CudaTrainState(const Graph& graph, Parameters& parameters, std::shared_ptr<Engine> engine)
    : host_(parameters),
      engine_(std::move(engine)),
      stream_(engine_->device),
      trained_layout_(graph, true),
      rolling_layout_(graph, false),
      trained_(zeros(trained_layout_)),
      gradients_(zeros(trained_layout_)),
      rolling_(zeros(rolling_layout_)),
      batch_rolling_(zeros(rolling_layout_)),
      counters_(engine_->device, sizeof seen_),
      scales_(engine_->device, 2 * sizeof(float)),
      found_(engine_->device, sizeof(int)),
      seen_(host_.seen),
      sgd_(*engine_, stream_, kernel::sgd, DType::f32),
      adam_(*engine_, stream_, kernel::adam, DType::f32),
      blend_(*engine_, stream_, kernel::blend, DType::f32),
      find_non_finite_(*engine_, stream_, kernel::find_non_finite, DType::f32) {
    if (graph.net.adam) {
        adam_m_ = zeros(trained_layout_);
        adam_v_ = zeros(trained_layout_);
    }
    const Entered here(*engine_->device);
    for (const Node& node : graph.nodes) {
        owners_.push_back(weights_owner(graph, node.index));
        where_.push_back(node.where);
        for (const ArraySpec& spec : node.arrays)
            stream_.upload(host_.nodes[node.index].array(spec.role).data(), parameters_of(node.index, spec.role),
                           spec.count * sizeof(float));
    }
    stream_.synchronize();
    set_loss_scale(1);
    begin_batch(seen_);
}

std::size_t CudaTrainState::bytes(const Graph& graph, Precision precision) {
    const Layout trained(graph, true), rolling(graph, false);
    const std::size_t kept = precision == Precision::f16 ? 1 : 0;
    const std::size_t copies = 2 + (graph.net.adam ? 2 : 0) + (graph.net.ema_alpha > 0 ? 1 : 0) + kept;
    std::size_t filters = 0;
    for (const Slot& slot : trained.slots())
        if (slot.role == Role::weights && has_filters(graph.nodes[slot.node])) filters += slot.count;
    return copies * trained.bytes() + (2 + kept) * rolling.bytes() + filters * dn::bytes(type_of(precision));
}

std::size_t CudaTrainState::bytes_in_use() const {
    std::size_t total = 0;
    for (const DeviceBuffer* buffer : {&trained_, &gradients_, &rolling_, &batch_rolling_, &adam_m_, &adam_v_, &ema_,
                                       &kept_gradients_, &kept_rolling_})
        total += buffer->bytes();
    for (const auto& entry : packed_) total += entry.second.buffer.bytes();
    return total;
}

// -- arrays ----------------------------------------------------------------------------------------------------------

DeviceBuffer CudaTrainState::zeros(const Layout& layout) const {
    DeviceBuffer arena(engine_->device, layout.bytes());
    if (!layout.bytes()) return arena;
    const Entered here(*engine_->device);
    stream_.clear(arena.get(), layout.bytes());
    stream_.synchronize();
    return arena;
}

const DeviceBuffer& CudaTrainState::arena_of(StateKind kind, Role role) const {
    if (is_rolling(role)) return rolling_;
    const DeviceBuffer* const arenas[] = {&trained_, &gradients_, &adam_m_, &adam_v_, &ema_};
    return *arenas[static_cast<int>(kind)];
}

// Rolling statistics are parameters alone.
const CudaTrainState::Slot* CudaTrainState::slot_of(StateKind kind, int node, Role role) const {
    if (is_rolling(role)) return kind == StateKind::parameters ? rolling_layout_.find(node, role) : nullptr;
    return arena_of(kind, role).bytes() ? trained_layout_.find(node, role) : nullptr;
}

float* CudaTrainState::address(const DeviceBuffer& arena, const Slot* slot) {
    return slot ? arena.get<float>() + slot->first : nullptr;
}

float* CudaTrainState::parameters(int node, Role role) const { return parameters_of(owners_[node], role); }

float* CudaTrainState::parameters_of(int owner, Role role) const {
    return address(arena_of(StateKind::parameters, role), slot_of(StateKind::parameters, owner, role));
}

float* CudaTrainState::gradients(int node, Role role) const {
    return address(gradients_, slot_of(StateKind::gradients, owners_[node], role));
}

float* CudaTrainState::rolling(int node, Role role) const {
    return address(batch_rolling_, rolling_layout_.find(owners_[node], role));
}

std::size_t CudaTrainState::count(StateKind kind, int node, Role role) const {
    const Slot* slot = slot_of(kind, node, role);
    return slot ? slot->count : 0;
}

void CudaTrainState::copy_arena(const DeviceBuffer& from, const DeviceBuffer& to) const {
    if (!from.bytes()) return;
    const Entered here(*engine_->device);
    stream_.copy(from.get(), to.get(), from.bytes());
    stream_.synchronize();
}

void CudaTrainState::download(const float* from, std::size_t count, float* dst) const {
    const Entered here(*engine_->device);
    stream_.download(from, dst, count * sizeof(float));
    stream_.synchronize();
}

void CudaTrainState::get(StateKind kind, int node, Role role, float* dst) const {
    if (const Slot* slot = slot_of(kind, node, role)) download(address(arena_of(kind, role), slot), slot->count, dst);
}

void CudaTrainState::set(StateKind kind, int node, Role role, const float* src) {
    if (kind == StateKind::ema && !ema_.bytes()) ema_ = zeros(trained_layout_);
    const Slot* slot = slot_of(kind, node, role);
    if (!slot) return;
    const Entered here(*engine_->device);
    stream_.upload(src, address(arena_of(kind, role), slot), slot->count * sizeof(float));
    if (kind == StateKind::parameters && role == Role::weights)
        for (const auto& entry : packed_)
            if (entry.first.first == node) pack(entry.second);
    stream_.synchronize();
    if (kind == StateKind::parameters) ++(is_rolling(role) ? host_.statistics_version : host_.weights_version);
}

const void* CudaTrainState::packed(int node, const PackedFilters& as) {
    const int owner = owners_[node];
    auto found = packed_.find({owner, as.type});
    if (found == packed_.end()) {
        const Slot* weights = trained_layout_.find(owner, Role::weights);
        Packed packed{as, weights, DeviceBuffer(engine_->device, weights->count * dn::bytes(as.type))};
        const Entered here(*engine_->device);
        pack(packed);
        stream_.synchronize();
        found = packed_.emplace(std::make_pair(owner, as.type), std::move(packed)).first;
    }
    return found->second.buffer.get();
}

void CudaTrainState::pack(const Packed& packed) const {
    const Launch<FiltersArgs> launch(*engine_, stream_, kernel::pack_filters, packed.as.type);
    const std::size_t count = packed.weights->count;
    launch(as_count(count),
           {address(trained_, packed.weights), packed.buffer.get(),
            as_count(count / (packed.as.channels * packed.as.window)), packed.as.channels, packed.as.window, nullptr});
}

// -- updates ---------------------------------------------------------------------------------------------------------

void CudaTrainState::update(const UpdateRule& rule) {
    const Entered here(*engine_->device);
    const bool begins_ema = rule.ema != Ema::off && !ema_.bytes();
    if (begins_ema) ema_ = zeros(trained_layout_);  // before anything moves: there may be no memory
    for (const UpdateSpan& span : rule.spans) move(span, rule);
    update_ema(rule, begins_ema);
    for (const auto& entry : packed_) pack(entry.second);
    stream_.synchronize();
    ++host_.weights_version;
}

void CudaTrainState::move(const UpdateSpan& span, const UpdateRule& rule) const {
    const Slot* slot = trained_layout_.find(span.node, span.role);
    float *weights = address(trained_, slot), *gradients = address(gradients_, slot);
    const long long count = as_count(slot->count);
    if (span.frozen) return stream_.clear(gradients, slot->count * sizeof(float));
    if (!rule.adam)
        return sgd_(count, {weights, gradients, count, span.decay, span.rate / static_cast<float>(rule.images),
                            rule.momentum, span.clip, span.clamp_step});
    adam_(count, {weights, gradients, address(adam_m_, slot), address(adam_v_, slot), count, span.decay, rule.beta1,
                  rule.beta2, span.rate, rule.m_scale, rule.v_scale, rule.epsilon, span.clip});
}

void CudaTrainState::update_ema(const UpdateRule& rule, bool begins) const {
    if (rule.ema == Ema::off) return;
    if (!begins && rule.ema == Ema::start) return;
    if (!begins && rule.ema == Ema::adopt) return stream_.copy(ema_.get(), trained_.get(), ema_.bytes());
    const long long count = as_count(trained_layout_.floats());
    blend_(count, {ema_.get<float>(), trained_.get<float>(), count, begins ? 0 : rule.ema_alpha});
}

// -- mini-batches ----------------------------------------------------------------------------------------------------

void CudaTrainState::begin_batch(std::uint64_t seen) {
    set_seen(seen);
    copy_arena(rolling_, batch_rolling_);
}

void CudaTrainState::keep_batch() {
    copy_arena(batch_rolling_, rolling_);
    host_.seen = seen_;
    if (rolling_.bytes()) ++host_.statistics_version;
}

void CudaTrainState::begin_share(std::uint64_t seen) {
    set_seen(seen);
    if (!rolling_.bytes()) return;
    const Entered here(*engine_->device);
    stream_.clear(batch_rolling_.get(), rolling_.bytes());
    stream_.synchronize();
}

void CudaTrainState::get_share(int node, Role role, float* dst) const {
    if (const Slot* slot = rolling_layout_.find(node, role)) download(address(batch_rolling_, slot), slot->count, dst);
}

void CudaTrainState::set_seen(std::uint64_t seen) {
    const Entered here(*engine_->device);
    seen_ = seen;
    stream_.upload(&seen_, counters_.get(), sizeof seen_);
    stream_.synchronize();
}

// -- several workers -------------------------------------------------------------------------------------------------

void CudaTrainState::join_group(const WorkerGroupId& id, int number, int count, double limit) {
    group_.reset();
    group_ = std::make_unique<Group>(engine_->device, id, number, count, limit);
}

// The zeros between arrays are summed with them: one call is faster than one for each array.
void CudaTrainState::sum_gradients(double limit) {
    if (!group_) return TrainState::sum_gradients(limit);
    group_->sum(gradients_.get<float>(), trained_layout_.floats(), stream_, limit);
}

// -- loss scale ------------------------------------------------------------------------------------------------------

void CudaTrainState::set_loss_scale(float factor) {
    const Entered here(*engine_->device);
    loss_scale_ = factor;
    const float scales[] = {1 / factor, factor};
    stream_.upload(scales, scales_.get(), sizeof scales);
    stream_.synchronize();
}

void CudaTrainState::begin_update() {
    if (!kept_gradients_.bytes()) kept_gradients_ = zeros(trained_layout_);
    if (!kept_rolling_.bytes()) kept_rolling_ = zeros(rolling_layout_);
    copy_arena(gradients_, kept_gradients_);
    copy_arena(rolling_, kept_rolling_);
}

void CudaTrainState::drop_update() {
    copy_arena(kept_gradients_, gradients_);
    copy_arena(kept_rolling_, rolling_);
    if (rolling_.bytes()) ++host_.statistics_version;
}

bool CudaTrainState::has_overflowed() const { return !all_finite({&gradients_, &rolling_}) && all_finite({&trained_}); }

// -- checks ----------------------------------------------------------------------------------------------------------

bool CudaTrainState::all_finite(const std::vector<const DeviceBuffer*>& arenas) const {
    const Entered here(*engine_->device);
    int found = 0;
    stream_.clear(found_.get(), sizeof found);
    for (const DeviceBuffer* arena : arenas) {
        const long long count = as_count(arena->bytes() / sizeof(float));
        if (count) find_non_finite_(count, {arena->get<float>(), count, found_.get<int>()});
    }
    stream_.download(found_.get(), &found, sizeof found);
    stream_.synchronize();
    return !found;
}

std::string CudaTrainState::first_non_finite() const {
    if (all_finite({&trained_, &gradients_, &rolling_})) return "";
    const auto has_non_finite = [this](StateKind kind, int node, Role role) {
        std::vector<float> values(count(kind, node, role));
        get(kind, node, role, values.data());
        return !std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    };
    for (int node = 0; node < static_cast<int>(where_.size()); ++node)
        for (const Role role : kRoles) {
            const char* name = role_name(role);
            if (has_non_finite(StateKind::gradients, node, role))
                return text(where_[node], ": its gradient of ", name, " is not finite (layer ", node, ")");
            if (has_non_finite(StateKind::parameters, node, role))
                return text(where_[node], ": its ", name, " are not finite (layer ", node, ")");
        }
    return "";
}

CudaTrainState& state_of(const Training& training) {
    auto* state = dynamic_cast<CudaTrainState*>(training.state);
    if (!state) throw Error(Status::internal, "", "a plan on a GPU was given the training state of another backend");
    return *state;
}

}  // namespace dn::cuda
