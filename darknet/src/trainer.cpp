// SPDX-License-Identifier: Apache-2.0
#include "trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

#include "counters.hpp"
#include "error.hpp"

namespace dn {
namespace {

using Alone = std::lock_guard<FairSharedMutex>;

const Graph& checked(const Graph& graph) {
    check_trainable(graph);
    return graph;
}

Floats values_of(const TrainState& state, int node, Role role) {
    Floats values(state.count(StateKind::parameters, node, role));
    state.get(StateKind::parameters, node, role, values.data());
    return values;
}

bool all_equal(const Floats& values, float value) {
    return std::all_of(values.begin(), values.end(), [=](float v) { return v == value; });
}

}  // namespace

Trainer::Trainer(const Network& network, const std::shared_ptr<const Backend>& backend, Precision precision)
    : backend_(backend ? backend : network.shared_backend()),
      options_(network.options()),
      graph_(network.shared_graph()),
      parameters_(network.shared_parameters()),
      solver_(checked(*graph_)),
      active_(graph_, parameters_, [&] { return backend_->train_state(*graph_, parameters_, options_.threads); }),
      state_(active_.state()),
      training_{&state_, solver_.frozen_before()},
      reports_(graph_->nodes.size()) {
    clear_initial_variances(network.weights_report());
    if (precision != Precision::automatic) options_.precision = precision;
    if (options_.precision == Precision::f16) {
        loss_scale_ = graph_->net.loss_scale > 0 ? LossScale(graph_->net.loss_scale) : LossScale();
        state_.set_loss_scale(loss_scale_->factor());
    }
    const std::uint64_t batch = static_cast<std::uint64_t>(graph_->net.batch);
    iteration_ = static_cast<std::int64_t>(parameters_->seen / std::max<std::uint64_t>(1, batch));
}

// Those that no file gave and no training has touched.
void Trainer::clear_initial_variances(const WeightsReport& loaded) {
    const Alone alone(parameters_->mutex);
    for (const Node& node : graph_->nodes) {
        const bool from_file = node.index < loaded.layers_loaded && !node.dont_load;
        const Floats variances = values_of(state_, node.index, Role::variances);
        if (node.index < solver_.frozen_before() || from_file || variances.empty()) continue;
        if (!all_equal(values_of(state_, node.index, Role::means), 0) || !all_equal(variances, 1)) continue;
        const Floats zeros(variances.size());
        state_.set(StateKind::parameters, node.index, Role::variances, zeros.data());
    }
}

void Trainer::set_counters(std::int64_t iteration, std::uint64_t seen, std::int64_t skipped) {
    constexpr auto most = static_cast<std::int64_t>(kMostSeen);
    if (iteration < 0 || iteration > most)
        throw Error(Status::invalid_argument, "", text("found iteration ", iteration, ", expected 0 to ", most));
    if (seen > kMostSeen)
        throw Error(Status::invalid_argument, "", text("found ", seen, " images seen, expected at most ", kMostSeen));
    if (skipped < 0 || skipped > iteration)
        throw Error(Status::invalid_argument, "",
                    text("found ", skipped, " skipped updates, expected 0 to ", iteration, ", the iteration"));
    const Alone alone(parameters_->mutex);
    iteration_ = iteration;
    skipped_updates_ = skipped;
    parameters_->seen = seen;
    images_ = 0;
    if (shares_) shares_->clear();
    gradients_incomplete_ = rolling_moved_ = false;
    drop_momentum();
}

void Trainer::set_loss_scale(float factor, int good) {
    if (!LossScale::is_valid(factor, good))
        throw Error(Status::invalid_argument, "",
                    text("found a loss scale of ", factor, " for ", good, " updates, expected 1 to ",
                         static_cast<int>(LossScale::kLargest), " for fewer than ", LossScale::kUpdates));
    if (!loss_scale_) return;
    loss_scale_ = LossScale(factor, good);
    state_.set_loss_scale(factor);
}

void Trainer::set_worker(int number, int count) {
    if (count < 1 || number < 0 || number >= count)
        throw Error(Status::invalid_argument, "", text("found worker ", number, " of ", count));
    if (images_ > 0)
        throw Error(Status::invalid_argument, "", "images are accumulated; workers are set in front of the first");
    shares_ = count > 1 ? std::make_unique<RollingShares>(*graph_, solver_.frozen_before()) : nullptr;
    worker_ = number;
    workers_ = count;
    const Alone alone(parameters_->mutex);
    drop_momentum();
}

// The sum over all workers has it once.
void Trainer::drop_momentum() {
    if (worker_ == 0) return;
    for (const Node& node : graph_->nodes)
        for (const Role role : kTrainedRoles) {
            const Floats zeros(state_.count(StateKind::gradients, node.index, role));
            if (!zeros.empty()) state_.set(StateKind::gradients, node.index, role, zeros.data());
        }
}

const Floats& Trainer::shares() const {
    static const Floats none;
    return shares_ ? shares_->taken() : none;
}

void Trainer::move_rolling(const float* all, std::size_t count) {
    if (!shares_) throw Error(Status::invalid_argument, "", "the trainer has no other workers");
    if (count != workers_ * shares().size())
        throw Error(Status::invalid_argument, "",
                    text("found ", count, " values, expected ", shares().size(), " of each of ", workers_, " workers"));
    const Alone alone(parameters_->mutex);
    shares_->move(state_, all, workers_);
    rolling_moved_ = true;
}

void Trainer::join_group(const WorkerGroupId& id, double limit) {
    if (workers_ == 1) throw Error(Status::invalid_argument, "", "the trainer has no other workers");
    state_.join_group(id, worker_, workers_, limit);
}

void Trainer::sum_gradients(double limit) {
    check_whole();
    if (images_ == 0) throw Error(Status::invalid_argument, "", "nothing was accumulated since the last update");
    state_.sum_gradients(limit);
}

void Trainer::check_whole() const {
    if (gradients_incomplete_)
        throw Error(Status::invalid_argument, "",
                    "a mini-batch or an update failed half-way and the gradients are incomplete; load a saved state to "
                    "continue");
}

Plan& Trainer::plan(int n) {
    if (!plan_ || plan_images_ != n) {
        plan_.reset();  // two plans at once would double the peak of memory
        try {
            plan_ = backend_->compile(*graph_, parameters_, options_of(n));
        } catch (const Error& error) {
            if (error.status() != Status::out_of_memory) throw;
            throw Error(error.status(), "", error.what() + what_fits(n));
        }
        plan_images_ = n;
    }
    return *plan_;
}

PlanOptions Trainer::options_of(int n) const {
    PlanOptions options;
    options.batch = n;
    options.threads = options_.threads;
    options.precision = options_.precision;
    options.training = &training_;
    return options;
}

// Where a mini-batch of n images does not: the fewest subdivisions of the cfg's batch.
std::string Trainer::what_fits(int n) const {
    const std::size_t free = backend_->free_bytes(), scratch = backend_->most_scratch_bytes(*graph_);
    const int batch = graph_->net.batch;
    for (const std::size_t beside : {scratch, std::size_t{0}})
        for (int parts = 2; parts <= batch; ++parts)
            if (batch % parts == 0 && batch / parts < n &&
                backend_->plan_bytes(*graph_, options_of(batch / parts)) + beside <= free)
                return text("; subdivisions=", parts, beside || !scratch ? " fits" : " may fit");
    return "";
}

float Trainer::accumulate(const float* images, int n, const float* truths, std::size_t truth_stride) {
    const auto announced = std::exchange(announced_, {nullptr, 0});
    return train(n, {truths, n, truth_stride}, [&](Plan& compiled) {
        if (!compiled.read_from(images))
            std::memcpy(compiled.input(), images, n * graph_->input.size() * sizeof(float));
        if (announced.second == n) compiled.announce(announced.first);
    });
}

float Trainer::accumulate(const Tile* tiles, int count, int n, const float* truths, std::size_t truth_stride) {
    announced_ = {nullptr, 0};
    check_tiles(tiles, count, std::max(n, 0), graph_->input);
    return train(n, {truths, n, truth_stride}, [&](Plan& compiled) { compiled.compose(tiles, count); });
}

float Trainer::train(int n, const Truths& truths, const std::function<void(Plan&)>& fill_input) {
    check_whole();
    if (n < 1) throw Error(Status::invalid_argument, "", text("found ", n, " images, expected 1 or more"));
    for (const Node& node : graph_->nodes) check_truths(node, truths);
    Plan& compiled = plan(n);
    fill_input(compiled);
    run(compiled, {truths, graph_->input, parameters_->seen + static_cast<std::uint64_t>(n) * (worker_ + 1)});

    float cost = 0;
    int owners = 0;
    for (const Node& node : graph_->nodes)
        if (owns_cost(node)) {
            cost += reports_[node.index].cost;
            ++owners;
        }
    return cost / static_cast<float>(owners);
}

void Trainer::run(Plan& compiled, const LossContext& context) {
    if (loss_scale_ && images_ == 0) state_.begin_update();
    workers_ > 1 ? state_.begin_share(context.seen) : state_.begin_batch(context.seen);
    compiled.forward();
    gradients_incomplete_ = true;
    std::fill(reports_.begin(), reports_.end(), LossReport{});
    compiled.backward(context, reports_);
    keep(context.seen + static_cast<std::uint64_t>(context.truths.n) * (workers_ - 1 - worker_));
    images_ += context.truths.n * workers_;
    gradients_incomplete_ = false;
}

// seen: images trained on, those of all workers included.
void Trainer::keep(std::uint64_t seen) {
    const Alone alone(parameters_->mutex);
    if (workers_ == 1) return state_.keep_batch();
    shares_->take(state_);
    parameters_->seen = seen;
    rolling_moved_ = false;
}

void Trainer::update() {
    check_whole();
    if (images_ == 0) throw Error(Status::invalid_argument, "", "nothing was accumulated since the last update");
    if (workers_ > 1 && !rolling_moved_)
        throw Error(Status::invalid_argument, "", "the shares of the other workers were not given");
    skipped_ = overflows();
    const Alone alone(parameters_->mutex);
    const std::int64_t iteration = iteration_ + 1, skipped = skipped_updates_ + (skipped_ ? 1 : 0);
    UpdateRule rule = solver_.rule(iteration, std::max<std::int64_t>(1, iteration - skipped), images_);
    if (skipped_) {
        gradients_incomplete_ = true;  // until the update is done
        state_.drop_update();
        rule.spans.clear();  // the moving average blends on, towards the same weights
    }
    state_.update(rule);
    gradients_incomplete_ = false;
    iteration_ = iteration;
    skipped_updates_ = skipped;
    if (loss_scale_) {
        skipped_ ? loss_scale_->halve() : loss_scale_->count_update();
        state_.set_loss_scale(loss_scale_->factor());
    }
    images_ = 0;
    if (shares_) shares_->clear();
    drop_momentum();
}

bool Trainer::overflows() const { return loss_scale_ && loss_scale_->may_halve() && state_.has_overflowed(); }

void Trainer::resize(int width, int height) {
    if (width == graph_->input.w && height == graph_->input.h) return;
    auto resized = std::make_shared<Graph>(*graph_);
    resize_graph(*resized, width, height);
    plan_.reset();
    announced_ = {nullptr, 0};  // of the size before
    graph_ = std::move(resized);
}

void Trainer::check_read(int layer, std::size_t count) const {
    if (!plan_) throw Error(Status::invalid_argument, graph_->file, "nothing was accumulated yet");
    const Node& node = graph_->node(layer);
    const std::size_t expected = plan_images_ * node.out.size();
    if (count != expected)
        throw Error(Status::invalid_argument, node.where, text("has ", expected, " values, the buffer ", count));
}

void Trainer::read(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read(layer, dst);
}

void Trainer::read_delta(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read_delta(layer, dst);
}

std::size_t Trainer::count(StateKind kind, int layer, Role role) const {
    return state_.count(kind, graph_->node(layer).index, role);
}

void Trainer::get(StateKind kind, int layer, Role role, float* dst, std::size_t count) const {
    check_count(layer, role, this->count(kind, layer, role), count);
    state_.get(kind, layer, role, dst);
}

void Trainer::set(StateKind kind, int layer, Role role, const float* src, std::size_t count) {
    // A moving average that there is not yet is as long as the gradients are.
    check_count(layer, role, this->count(kind == StateKind::ema ? StateKind::gradients : kind, layer, role), count);
    const Alone alone(parameters_->mutex);
    state_.set(kind, layer, role, src);
}

void Trainer::check_count(int layer, Role role, std::size_t expected, std::size_t count) const {
    if (count != expected)
        throw Error(Status::invalid_argument, graph_->node(layer).where,
                    text("its ", role_name(role), " have ", expected, " values in this state, the buffer ", count));
}

}  // namespace dn
