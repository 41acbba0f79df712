// SPDX-License-Identifier: Apache-2.0
// Updates are compiled without fused multiply-add (see CMakeLists.txt): each value goes through the same operations in
// the same order on every machine, and a run that is resumed elsewhere has the same bits.
#include "train_state.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "../../error.hpp"
#include "parallel.hpp"

namespace dn {
namespace {

// The exponent is all ones in NaN and Inf alone: then one more carries into the sign, which gathers here. Without
// branches and comparisons, for vectors.
bool all_finite(const float* values, std::size_t count) {
    constexpr std::uint32_t exponent = 0x7F800000, one = 0x00800000, sign = 0x80000000;
    std::uint32_t gathered = 0;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        gathered |= (bits & exponent) + one;
    }
    return !(gathered & sign);
}

bool all_finite(const Floats& values) { return all_finite(values.data(), values.size()); }

// g <- g - decay w; w <- w + step g; g <- momentum g. A limit of infinity limits nothing.
template <bool clamp_step, bool clip>
void sgd_values(float* __restrict w, float* __restrict g, std::size_t count, float decay, float step, float momentum,
                float limit) {
    for (std::size_t i = 0; i < count; ++i) {
        float d = g[i] - decay * w[i];
        if (clamp_step) d = std::clamp(d, -1.f, 1.f);
        const float moved = w[i] + step * d;
        w[i] = clip ? std::clamp(moved, -limit, limit) : moved;
        g[i] = momentum * d;
    }
}

struct AdamStep {
    float decay, beta1, beta2, rate, m_scale, v_scale, epsilon, limit;
};

template <bool clip>
void adam_values(float* __restrict w, float* __restrict g, float* __restrict m, float* __restrict v, std::size_t count,
                 const AdamStep& given) {
    const AdamStep s = given;  // a copy that the stores below cannot change
    for (std::size_t i = 0; i < count; ++i) {
        const float d = g[i] - s.decay * w[i];
        m[i] = s.beta1 * m[i] + (1 - s.beta1) * d;
        v[i] = s.beta2 * v[i] + (1 - s.beta2) * d * d;
        const float moved = w[i] + s.rate * m[i] * s.m_scale / (std::sqrt(v[i] * s.v_scale) + s.epsilon);
        w[i] = clip ? std::clamp(moved, -s.limit, s.limit) : moved;
        g[i] = 0;
    }
}

void blend_values(float* __restrict average, const float* __restrict values, std::size_t count, float alpha) {
    for (std::size_t i = 0; i < count; ++i) average[i] = alpha * average[i] + (1 - alpha) * values[i];
}

// Calls visit(item, first, last) for the part of each item that lies in [first, last) of all items one after the other.
template <class Items, class Count, class Visit>
void for_parts(const Items& items, std::size_t first, std::size_t last, const Count& count, const Visit& visit) {
    std::size_t start = 0;
    for (const auto& item : items) {
        const std::size_t end = start + count(item);
        if (start < last && end > first) visit(item, std::max(first, start) - start, std::min(last, end) - start);
        start = end;
    }
}

}  // namespace

HostTrainState::HostTrainState(const Graph& graph, std::shared_ptr<Parameters> parameters, int threads)
    : parameters_(std::move(parameters)), threads_(threads), seen_(parameters_->seen) {
    for (std::vector<NodeParameters>* arrays : {&gradients_, &statistics_}) arrays->resize(graph.nodes.size());
    for (const Node& node : graph.nodes) {
        where_.push_back(node.where);
        for (const ArraySpec& spec : node.arrays) {
            (is_rolling(spec.role) ? statistics_ : gradients_)[node.index].array(spec.role).resize(spec.count);
            if (!is_rolling(spec.role)) trained_.push_back({node.index, spec.role, spec.count});
        }
    }
    if (graph.net.adam) adam_m_ = adam_v_ = gradients_;
    begin_batch(seen_);
}

std::size_t HostTrainState::bytes(const Graph& graph) {
    std::size_t trained = 0, statistics = 0;
    for (const Node& node : graph.nodes)
        for (const ArraySpec& spec : node.arrays) (is_rolling(spec.role) ? statistics : trained) += spec.count;
    const std::size_t copies = 1 + (graph.net.adam ? 2 : 0) + (graph.net.ema_alpha > 0 ? 1 : 0);
    return (copies * trained + statistics) * sizeof(float);
}

const Floats& HostTrainState::array(StateKind kind, int node, Role role) const {
    static const Floats none;
    const std::vector<NodeParameters>* const arrays[] = {&parameters_->nodes, &gradients_, &adam_m_, &adam_v_, &ema_};
    const std::vector<NodeParameters>& nodes = *arrays[static_cast<int>(kind)];
    return nodes.empty() ? none : nodes[node].array(role);
}

Floats& HostTrainState::array(StateKind kind, int node, Role role) {
    return const_cast<Floats&>(static_cast<const HostTrainState&>(*this).array(kind, node, role));
}

std::size_t HostTrainState::count(StateKind kind, int node, Role role) const { return array(kind, node, role).size(); }

void HostTrainState::get(StateKind kind, int node, Role role, float* dst) const {
    const Floats& values = array(kind, node, role);
    std::copy(values.begin(), values.end(), dst);
}

void HostTrainState::set(StateKind kind, int node, Role role, const float* src) {
    if (kind == StateKind::ema && ema_.empty()) make_ema();
    Floats& values = array(kind, node, role);
    std::copy_n(src, values.size(), values.begin());
    if (kind != StateKind::parameters) return;
    if (is_rolling(role))
        parameters_->host_statistics_version = ++parameters_->statistics_version;
    else
        parameters_->host_weights_version = ++parameters_->weights_version;
}

void HostTrainState::sgd(const UpdateSpan& span, const UpdateRule& rule, std::size_t first, std::size_t last) {
    const auto values = span.clamp_step ? (span.clip > 0 ? sgd_values<true, true> : sgd_values<true, false>)
                                        : (span.clip > 0 ? sgd_values<false, true> : sgd_values<false, false>);
    values(array(StateKind::parameters, span.node, span.role).data() + first,
           gradients_[span.node].array(span.role).data() + first, last - first, span.decay,
           span.rate / static_cast<float>(rule.images), rule.momentum, span.clip);
}

// Darknet's Adam works on the batch's sum.
void HostTrainState::adam(const UpdateSpan& span, const UpdateRule& rule, std::size_t first, std::size_t last) {
    const AdamStep step{span.decay,   rule.beta1,   rule.beta2,   span.rate,
                        rule.m_scale, rule.v_scale, rule.epsilon, span.clip};
    const auto values = span.clip > 0 ? adam_values<true> : adam_values<false>;
    values(array(StateKind::parameters, span.node, span.role).data() + first,
           gradients_[span.node].array(span.role).data() + first, adam_m_[span.node].array(span.role).data() + first,
           adam_v_[span.node].array(span.role).data() + first, last - first, step);
}

void HostTrainState::update(const UpdateRule& rule) {
    const auto count = [this](const UpdateSpan& span) { return gradients_[span.node].array(span.role).size(); };
    std::size_t total = 0;
    for (const UpdateSpan& span : rule.spans) total += count(span);
    in_parallel(total, threads_, [&](std::size_t begin, std::size_t end) {
        for_parts(rule.spans, begin, end, count, [&](const UpdateSpan& span, std::size_t first, std::size_t last) {
            if (span.frozen)
                std::fill_n(gradients_[span.node].array(span.role).data() + first, last - first, 0.f);
            else
                rule.adam ? adam(span, rule, first, last) : sgd(span, rule, first, last);
        });
    });
    update_ema(rule);
    parameters_->host_weights_version = ++parameters_->weights_version;
}

template <class Visit>
void HostTrainState::for_trained(const Visit& visit) const {
    const auto count = [](const Slot& slot) { return slot.count; };
    std::size_t total = 0;
    for (const Slot& slot : trained_) total += slot.count;
    in_parallel(total, threads_,
                [&](std::size_t begin, std::size_t end) { for_parts(trained_, begin, end, count, visit); });
}

void HostTrainState::make_ema() {
    ema_.resize(gradients_.size());
    for (const Slot& slot : trained_) ema_[slot.node].array(slot.role).resize(slot.count);
}

void HostTrainState::update_ema(const UpdateRule& rule) {
    if (rule.ema == Ema::off) return;
    const bool begin = ema_.empty();
    if (!begin && rule.ema == Ema::start) return;
    if (begin) make_ema();
    const bool adopt = !begin && rule.ema == Ema::adopt;
    for_trained([&](const Slot& slot, std::size_t first, std::size_t last) {
        float* average = ema_[slot.node].array(slot.role).data();
        float* values = parameters_->nodes[slot.node].array(slot.role).data();
        if (adopt)
            std::copy(average + first, average + last, values + first);
        else
            blend_values(average + first, values + first, last - first, begin ? 0 : rule.ema_alpha);
    });
}

void HostTrainState::begin_batch(std::uint64_t seen) {
    seen_ = seen;
    for (std::size_t node = 0; node < statistics_.size(); ++node)
        for (const Role role : {Role::means, Role::variances}) {
            Floats& own = statistics_[node].array(role);
            std::copy_n(parameters_->nodes[node].array(role).begin(), own.size(), own.begin());
        }
}

void HostTrainState::keep_batch() {
    parameters_->seen = seen_;
    bool moved = false;
    for (std::size_t node = 0; node < statistics_.size(); ++node)
        for (const Role role : {Role::means, Role::variances}) {
            const Floats& own = statistics_[node].array(role);
            std::copy(own.begin(), own.end(), parameters_->nodes[node].array(role).begin());
            moved |= !own.empty();
        }
    if (moved) parameters_->host_statistics_version = ++parameters_->statistics_version;
}

void HostTrainState::begin_share(std::uint64_t seen) {
    seen_ = seen;
    for (NodeParameters& own : statistics_)
        for (const Role role : {Role::means, Role::variances})
            std::fill(own.array(role).begin(), own.array(role).end(), 0.f);
}

void HostTrainState::get_share(int node, Role role, float* dst) const {
    const Floats& own = statistics_[node].array(role);
    std::copy(own.begin(), own.end(), dst);
}

std::string HostTrainState::first_non_finite() const {
    const auto gradient = [this](const Slot& slot) -> const Floats& { return gradients_[slot.node].array(slot.role); };
    const auto value = [this](const Slot& slot) -> const Floats& {
        return parameters_->nodes[slot.node].array(slot.role);
    };
    std::atomic<bool> finite{true};
    for_trained([&](const Slot& slot, std::size_t first, std::size_t last) {
        if (!all_finite(gradient(slot).data() + first, last - first) ||
            !all_finite(value(slot).data() + first, last - first))
            finite = false;
    });
    for (std::size_t node = 0; node < where_.size(); ++node)
        for (const Role role : kRoles) {
            if (finite && !is_rolling(role)) continue;  // checked already
            const char* name = role_name(role);
            if (!all_finite(gradients_[node].array(role)))
                return text(where_[node], ": its gradient of ", name, " is not finite (layer ", node, ")");
            if (!all_finite(parameters_->nodes[node].array(role)))
                return text(where_[node], ": its ", name, " are not finite (layer ", node, ")");
        }
    return "";
}

HostTraining HostTrainState::of(const Graph& graph, int node) {
    const int owner = weights_owner(graph, node);
    return {&statistics_[owner], &gradients_[owner], &seen_};
}

PlanTraining::PlanTraining(const Training* training) {
    if (!training) return;
    state_ = dynamic_cast<HostTrainState*>(training->state);
    frozen_before_ = training->frozen_before;
    if (!state_)
        throw Error(Status::internal, "", "a plan on host memory was given the training state of another backend");
}

HostTraining PlanTraining::of(const Graph& graph, int node) const {
    return trains(node) ? state_->of(graph, node) : HostTraining{};
}

}  // namespace dn
