// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"

#include <algorithm>
#include <cstring>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "backends/registry.hpp"
#include "error.hpp"
#include "layers/layer.hpp"

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

// More threads than cores are allowed, as tests want them, but not so many that the system runs out of them.
int checked_threads(int threads) {
    const int cores = available_cores(), most = std::max(64, 4 * cores);
    if (threads < 0 || threads > most)
        throw Error(Status::invalid_argument, "",
                    text("found ", threads, " threads, expected 1 to ", most, ", or 0 for all ", cores,
                         " cores that this process may use"));
    return threads == 0 ? cores : threads;
}

std::vector<int> default_outputs(const Graph& graph) {
    std::vector<int> heads = graph.heads();
    if (heads.empty()) heads.push_back(graph.output_node());
    return heads;
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
    if (options_.batch < 1)
        throw Error(Status::invalid_argument, "", text("found batch ", options_.batch, ", expected 1 or more"));
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
    if (batch < 1) throw Error(Status::invalid_argument, "", text("found batch ", batch, ", expected 1 or more"));
    if (batch == options_.batch) return;
    drop_plan();
    options_.batch = batch;
}

// With the plan goes what read() would serve.
void Network::drop_plan() {
    plan_.reset();
    predicted_ = 0;
}

Plan& Network::plan() {
    if (!plan_ || plan_version_ != parameters_->version) {
        if (wanted_.empty()) wanted_ = default_outputs(*graph_);
        drop_plan();  // two plans at once would double the peak of memory
        plan_ = backend_->compile(*graph_, parameters_,
                                  {options_.batch, options_.threads, options_.precision, nullptr, wanted_});
        plan_version_ = parameters_->version;
    }
    return *plan_;
}

void Network::want(const std::vector<int>& layers) {
    std::vector<int> wanted = layers.empty() ? default_outputs(*graph_) : layers;
    for (int layer : wanted)
        if (layer < 0 || layer >= static_cast<int>(graph_->nodes.size()))
            throw Error(Status::invalid_argument, graph_->file,
                        text("has no layer ", layer, "; expected 0 to ", graph_->nodes.size() - 1));
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
    Plan& compiled = plan();
    if (n < options_.batch || !compiled.read_from(x))
        std::memcpy(compiled.input(), x, n * graph_->input.size() * sizeof(float));
    forward(n);
}

void Network::forward(int n) {
    predicted_ = 0;  // stays so when the pass fails
    plan().forward();
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
    const LossContext context{truths, graph_->input, parameters_->seen};
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
        for (int i = 0; i < n; ++i)
            load_image(images[first + i], options.letterbox, graph_->input, plan().input() + i * graph_->input.size());
        forward(n);
        const std::vector<Floats> outputs = head_outputs();
        for (int i = 0; i < n; ++i) {
            const ImageView& image = images[first + i];
            std::vector<Candidate> candidates =
                decode(outputs, i, {options.thresh, true, options.letterbox, image.width, image.height});
            if (options.nms > 0) nms(candidates, options.nms);
            found.push_back(flatten(candidates, image.width, image.height));
        }
    }
    return found;
}

std::vector<Floats> Network::head_outputs() const {
    std::vector<Floats> outputs;
    for (int head : graph_->heads()) {
        outputs.emplace_back(graph_->nodes[head].out.size() * options_.batch);
        plan_->read(head, outputs.back().data());
    }
    return outputs;
}

std::vector<Candidate> Network::decode(const std::vector<Floats>& outputs, int item,
                                       const DecodeOptions& options) const {
    std::vector<Candidate> found;
    const std::vector<int> heads = graph_->heads();
    for (std::size_t i = 0; i < heads.size(); ++i) {
        const Node& head = graph_->nodes[heads[i]];
        decode_head(head, outputs[i].data() + item * head.out.size(), graph_->input, options, found);
    }
    return found;
}

std::vector<Candidate> Network::candidates(int item, const DecodeOptions& options) const {
    if (item < 0 || item >= predicted_)
        throw Error(Status::invalid_argument, "", text("found item ", item, ", the last prediction had ", predicted_));
    return decode(head_outputs(), item, options);
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

std::vector<LayerTime> Network::profile() { return plan().profile(); }

}  // namespace dn
