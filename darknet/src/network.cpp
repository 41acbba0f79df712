// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"

#include <algorithm>
#include <cstring>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "backends/check.hpp"
#include "backends/registry.hpp"
#include "error.hpp"
#include "layers/layer.hpp"
#include "solver.hpp"

namespace dn {
namespace {

// Cores this process may use, which containers and taskset make fewer than the machine has.
int available_cores() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// More threads than cores are allowed, as tests use them, but not more than the system can create.
int checked_threads(int threads) {
    const int cores = available_cores(), most = std::max(64, 4 * cores);
    if (threads < 0 || threads > most)
        throw Error(Status::invalid_argument, "",
                    text("found ", threads, " threads, expected 1 to ", most, ", or 0 for all ", cores,
                         " cores that this process may use"));
    return threads == 0 ? cores : threads;
}

// More images than memory holds are found out by the plan; beyond this, their count is a mistake.
void check_batch(int batch) {
    constexpr int most = 1 << 20;
    if (batch < 1 || batch > most)
        throw Error(Status::invalid_argument, "", text("found batch ", batch, ", expected 1 to ", most));
}

void check_fraction(const char* name, float value) {
    if (!(value >= 0 && value <= 1))
        throw Error(Status::invalid_argument, "", text("found ", name, " ", value, ", expected 0 to 1"));
}

// Darknet takes the NMS of the last head.
NmsSettings nms_settings(const Graph& graph) {
    const std::vector<int> heads = graph.heads();
    if (heads.empty()) return {};
    const Node& last = graph.nodes[heads.back()];
    const auto nms = layer_def(last.kind).nms;
    return nms ? nms(last) : NmsSettings{};
}

}  // namespace

Network::Network(const Cfg& cfg, const std::string& weights_path, const NetworkOptions& options) : options_(options) {
    check_batch(options_.batch);
    options_.threads = checked_threads(options_.threads);
    backend_ = make_backend(options_.backend);
    backend_name_ = backend_->name();
    device_ = backend_->device();
    precision_ = backend_->resolve(options_.precision);
    options_.precision = precision_.precision;
    graph_ = std::make_shared<Graph>(build_graph(cfg, options_.strict));
    report_.layers_total = static_cast<int>(graph_->nodes.size());
    // The file is measured against the cfg before anything is allocated; without a file the cfg alone decides.
    parameters_ = load_parameters(*graph_, weights_path, report_);
}

Network::Network(const Network& other)
    : graph_(other.graph_),
      parameters_(other.parameters_),
      report_(other.report_),
      options_(other.options_),
      backend_(other.backend_),
      backend_name_(other.backend_name_),
      device_(other.device_),
      precision_(other.precision_) {}

void Network::resize(int width, int height) {
    if (width == graph_->input.w && height == graph_->input.h) return;
    auto resized = std::make_shared<Graph>(*graph_);
    resize_graph(*resized, width, height);
    drop_plan();
    graph_ = std::move(resized);
}

void Network::set_batch(int batch) {
    check_batch(batch);
    if (batch == options_.batch) return;
    drop_plan();
    options_.batch = batch;
}

// Dropping the plan invalidates the outputs of read().
void Network::drop_plan() {
    plan_.reset();
    predicted_ = 0;
}

Plan& Network::plan(const Parameters& current) {
    if (!plan_ || plan_weights_version_ != current.weights_version ||
        plan_statistics_version_ != current.statistics_version) {
        if (wanted_.empty()) wanted_ = graph_->default_outputs();
        drop_plan();  // two plans at once would double the peak of memory
        plan_ = backend_->compile(*graph_, parameters_,
                                  {options_.batch, options_.threads, options_.precision, nullptr, wanted_});
        plan_weights_version_ = current.weights_version;
        plan_statistics_version_ = current.statistics_version;
    }
    return *plan_;
}

void Network::want(const std::vector<int>& layers) {
    std::vector<int> wanted = layers.empty() ? graph_->default_outputs() : layers;
    for (int layer : wanted) graph_->node(layer);
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    if (wanted == wanted_) return;
    drop_plan();
    wanted_ = std::move(wanted);
}

void Network::predict(const float* x, int n, const std::vector<int>& wanted) {
    if (n < 1 || n > options_.batch)
        throw Error(Status::invalid_argument, "",
                    text("found ", n, " images, expected 1 to the batch of ", options_.batch));
    want(wanted);
    const LockedParameters current = parameters();
    Plan& compiled = plan(*current);
    if (n < options_.batch || !compiled.read_from(x))
        std::memcpy(compiled.input(), x, n * graph_->input.size() * sizeof(float));
    forward(compiled, n);
}

void Network::forward(Plan& compiled, int n) {
    predicted_ = 0;  // stays so when the pass fails
    compiled.forward();
    predicted_ = n;
}

void Network::read(int layer, float* dst, std::size_t count) const {
    if (!std::binary_search(wanted_.begin(), wanted_.end(), layer) || predicted_ == 0)
        throw Error(Status::invalid_argument, graph_->file,
                    text("layer ", layer, " was not asked for in the last prediction"));
    const std::size_t per_image = graph_->nodes[layer].out.size();
    if (count != per_image * predicted_)
        throw Error(
            Status::invalid_argument, graph_->nodes[layer].where,
            text("its output of ", predicted_, " images has ", per_image * predicted_, " values, the buffer ", count));
    if (predicted_ == options_.batch) return plan_->read(layer, dst);
    Floats all(per_image * options_.batch);
    plan_->read(layer, all.data());
    std::copy_n(all.begin(), count, dst);
}

std::vector<LossReport> Network::losses(const Truths& truths) const {
    if (truths.n < 1 || truths.n != predicted_)
        throw Error(Status::invalid_argument, graph_->file,
                    text("found truths of ", truths.n, " images, the last prediction had ", predicted_));
    std::vector<LossReport> reports(graph_->nodes.size());
    const LossContext context{truths, graph_->input, parameters()->seen};
    for (const Node& node : graph_->nodes) {
        if (!owns_cost(node)) continue;
        check_trainable(node);
        check_truths(node, truths);
        Floats output(node.out.size() * truths.n), delta(output.size());
        read(node.index, output.data(), output.size());
        reports[node.index] = loss(node, context, output.data(), delta.data());
    }
    return reports;
}

std::vector<std::vector<Detection>> Network::detect(const ImageView* images, int count, const DetectOptions& options) {
    check_fraction("thresh", options.thresh);
    check_fraction("nms", options.nms);
    want({});
    std::vector<std::vector<Detection>> found;
    for (int first = 0; first < count; first += options_.batch) {
        const int n = std::min(options_.batch, count - first);
        {
            const LockedParameters current = parameters();  // a batch sees them whole
            Plan& compiled = plan(*current);
            compiled.load(images + first, n, options.letterbox);
            forward(compiled, n);
        }
        for (std::vector<Detection>& of_image : detections(images + first, n, options))
            found.push_back(std::move(of_image));
    }
    return found;
}

std::vector<std::vector<Detection>> Network::detections(const ImageView* images, int n,
                                                        const DetectOptions& options) const {
    std::vector<DecodeOptions> decode;
    for (int i = 0; i < n; ++i)
        decode.push_back({options.thresh, true, options.letterbox, images[i].width, images[i].height});
    std::vector<std::vector<Candidate>> candidates = plan_->candidates(decode);
    std::vector<std::vector<Detection>> found;
    for (int i = 0; i < n; ++i) {
        if (options.nms > 0) nms(candidates[i], options.nms);
        found.push_back(flatten(candidates[i], images[i].width, images[i].height));
    }
    return found;
}

void Network::nms(std::vector<Candidate>& candidates, float thresh) const {
    const NmsSettings settings = nms_settings(*graph_);
    nms_sort(candidates, classes(), thresh, settings.kind, settings.beta);
}

int Network::classes() const {
    const std::vector<int> heads = graph_->heads();
    if (heads.empty()) return 0;
    const Node& head = graph_->nodes[heads.front()];
    return layer_def(head.kind).classes(head);
}

std::vector<LayerTime> Network::profile() {
    const LockedParameters current = parameters();
    return plan(*current).profile();
}

std::vector<double> Network::layer_errors() {
    const LockedParameters current = parameters();
    return dn::layer_errors(plan(*current));
}

MemoryNeed memory_need(const Cfg& cfg, const NetworkOptions& options, int width, int height, bool training) {
    check_batch(options.batch);
    Graph graph = build_graph(cfg, options.strict);
    if (training)
        for (const Node& node : graph.nodes) check_trainable(node);
    if (width > 0 || height > 0) resize_graph(graph, width, height);
    const std::unique_ptr<Backend> backend = make_backend(options.backend);
    const Training frozen{nullptr, training ? Solver(graph).frozen_before() : 0};
    const PlanOptions plan{options.batch,
                           checked_threads(options.threads),
                           backend->resolve(options.precision).precision,
                           training ? &frozen : nullptr,
                           {}};
    std::size_t parameters = 0;
    for (const Node& node : graph.nodes) parameters += node.parameter_count() * sizeof(float);
    return {backend->plan_bytes(graph, plan) + backend->most_scratch_bytes(graph), parameters, backend->free_bytes()};
}

}  // namespace dn
