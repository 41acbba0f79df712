// SPDX-License-Identifier: Apache-2.0
#include "trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"

namespace dn {
namespace {

constexpr Array kAllArrays[] = {Array::biases, Array::scales, Array::means, Array::variances, Array::weights};

bool all_finite(const Floats& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

Trainer::Trainer(const Network& network)
    : backend_(network.shared_backend()),
      options_(network.options()),
      graph_(network.shared_graph()),
      parameters_(network.shared_parameters()),
      solver_(graph_, parameters_),
      training_{parameters_.get(), &solver_.state().gradients, solver_.frozen_before()},
      reports_(graph_->nodes.size()) {
    if (std::none_of(graph_->nodes.begin(), graph_->nodes.end(), owns_cost))
        throw Error(Status::cfg, graph_->file,
                    "cannot be trained: no layer has a loss; expected a head, softmax or cost");
    const std::uint64_t batch = static_cast<std::uint64_t>(graph_->net.batch);
    solver_.state().iteration = static_cast<std::int64_t>(parameters_->seen / std::max<std::uint64_t>(1, batch));
}

Plan& Trainer::plan(int n) {
    if (!plan_ || plan_images_ != n) {
        plan_.reset();  // two plans at once would double the peak of memory
        PlanOptions options;
        options.batch = n;
        options.threads = options_.threads;
        options.precision = options_.precision;
        options.training = &training_;
        plan_ = backend_->compile(*graph_, parameters_, options);
        plan_images_ = n;
    }
    return *plan_;
}

float Trainer::accumulate(const float* images, int n, const float* truths, std::size_t truth_stride) {
    if (n < 1) throw Error(Status::invalid_argument, "", text("found ", n, " images, expected 1 or more"));
    Plan& compiled = plan(n);
    std::memcpy(compiled.input(), images, n * graph_->input.size() * sizeof(float));
    parameters_->seen += n;
    ++parameters_->version;
    compiled.forward();
    std::fill(reports_.begin(), reports_.end(), LossReport{});
    compiled.backward({{truths, n, truth_stride}, graph_->input, parameters_->seen}, reports_);
    images_ += n;

    float cost = 0;
    int owners = 0;
    for (const Node& node : graph_->nodes)
        if (owns_cost(node)) {
            cost += reports_[node.index].cost;
            ++owners;
        }
    return cost / static_cast<float>(owners);
}

void Trainer::update() {
    if (images_ == 0) throw Error(Status::invalid_argument, "", "nothing was accumulated since the last update");
    solver_.update(images_);
    ++parameters_->version;
    images_ = 0;
}

void Trainer::resize(int width, int height) {
    if (width == graph_->input.w && height == graph_->input.h) return;
    auto resized = std::make_shared<Graph>(*graph_);
    resize_graph(*resized, width, height);
    plan_.reset();
    graph_ = std::move(resized);
}

void Trainer::check_read(int layer, std::size_t count) const {
    if (!plan_) throw Error(Status::invalid_argument, graph_->file, "nothing was accumulated yet");
    if (layer < 0 || layer >= static_cast<int>(graph_->nodes.size()))
        throw Error(Status::invalid_argument, graph_->file,
                    text("has no layer ", layer, "; expected 0 to ", graph_->nodes.size() - 1));
    const std::size_t expected = plan_images_ * graph_->nodes[layer].out.size();
    if (count != expected)
        throw Error(Status::invalid_argument, graph_->nodes[layer].where,
                    text("has ", expected, " values, the buffer ", count));
}

void Trainer::read(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read(layer, dst);
}

void Trainer::read_delta(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read_delta(layer, dst);
}

std::string Trainer::first_non_finite() const {
    for (const Node& node : graph_->nodes)
        for (Array role : kAllArrays) {
            const char* name = array_name(role);
            if (!all_finite(solver_.state().gradients[node.index].array(role)))
                return text(node.where, ": its gradient of ", name, " is not finite (layer ", node.index, ")");
            if (!all_finite(parameters_->nodes[node.index].array(role)))
                return text(node.where, ": its ", name, " are not finite (layer ", node.index, ")");
        }
    return "";
}

}  // namespace dn
