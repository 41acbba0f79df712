// SPDX-License-Identifier: Apache-2.0
// Backward passes of every layer: on ref against central differences of its forward pass, on cpu against ref.
// A layer of layers.def that stands in no list of this file is a failure.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "gradient_cases.hpp"
#include "layers/layer.hpp"
#include "ops/ops.hpp"
#include "random.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kImages = 3;  // two would make batch norm of a [connected] a step function

// Heads, whose delta is by definition no gradient of what they report: the fixtures hold their losses.
struct HeadCase {
    Kind kind;
    std::string section;
    int channels;
    bool one_hot;
};

const std::vector<HeadCase>& head_cases() {
    static const std::vector<HeadCase> cases = {
        {Kind::yolo, "[yolo]\nmask=0,1\nnum=2\nanchors=2,2, 3,4\nclasses=2\niou_loss=ciou\nscale_x_y=1.1\n", 14, false},
        {Kind::gaussian_yolo, "[Gaussian_yolo]\nmask=0,1\nnum=2\nanchors=2,2, 3,4\nclasses=2\n", 22, false},
        {Kind::region, "[region]\nnum=2\nanchors=1,1, 2,2\nclasses=3\nsoftmax=1\ncoords=4\n", 16, false},
        {Kind::softmax, "[softmax]\n", 4, true},
    };
    return cases;
}

// Cfgs that are refused before a training begins, with a part of the error.
const std::map<Kind, std::string>& refused() {
    static const std::map<Kind, std::string> layers = {
        {Kind::detection, "[detection]: cannot be trained: the loss of YOLOv1"},
        {Kind::contrastive, "[contrastive]: cannot be trained: its loss over embeddings"},
    };
    return layers;
}

constexpr Kind kAllKinds[] = {
#define DN_LAYER(name) Kind::name,
#include "layers/layers.def"
#undef DN_LAYER
};

// Lets nothing through on purpose, as in Darknet: it stands in front of all that learns.
const std::set<Kind> kStopsGradients = {Kind::crop};

std::string label(const Case& c) { return text(layer_def(c.kind).name, c.name.empty() ? "" : ": ", c.name); }

Floats random_values(std::size_t count, std::uint64_t stream, float low, float high) {
    Floats values(count);
    for (std::size_t k = 0; k < count; ++k) values[k] = low + (high - low) * uniform(mix(stream), k);
    return values;
}

// One network in training: its parameters, gradients and plan.
struct Bench {
    Bench(const std::string& sections, Shape input, const std::string& backend, Precision precision = Precision::f32)
        : graph(graph_of(sections, input)), parameters(initial_parameters(graph, 3)) {
        for (const Node& node : graph.nodes) randomise(node);
        PlanOptions options;
        options.batch = kImages;
        options.threads = 2;
        state = make_backend(backend)->train_state(graph, parameters, options.threads);
        const Training training{state.get(), 0};
        options.precision = precision;
        options.training = &training;
        plan = make_backend(backend)->compile(graph, parameters, options);
        const Floats x = random_values(kImages * input.size(), 11, 0, 1);
        std::copy(x.begin(), x.end(), plan->input());
    }

    void randomise(const Node& node) {
        NodeParameters& p = parameters->nodes[node.index];
        p.biases = random_values(p.biases.size(), 20 + node.index, -0.5f, 0.5f);
        p.scales = random_values(p.scales.size(), 40 + node.index, 0.5f, 1.5f);
        if (node.kind == Kind::shortcut) p.weights = random_values(p.weights.size(), 60 + node.index, 0.5f, 1.5f);
        if (node.index == 0) p.biases = random_values(p.biases.size(), 80, -1.5f, 1.5f);
    }

    Floats read(int node) const {
        Floats values(kImages * graph.nodes[node].out.size());
        plan->read(node, values.data());
        return values;
    }

    Floats gradient(int node, Role role) const {
        Floats values(state->count(StateKind::gradients, node, role));
        state->get(StateKind::gradients, node, role, values.data());
        return values;
    }

    LossReport backward(const Floats& truths) {
        std::vector<LossReport> reports(graph.nodes.size());
        plan->backward({{truths.data(), kImages, truths.size() / kImages}, graph.input, 0}, reports);
        return reports[graph.nodes.size() - 1];
    }

    Graph graph;
    std::shared_ptr<Parameters> parameters;
    std::shared_ptr<TrainState> state;
    std::unique_ptr<Plan> plan;
};

std::string front(Shape input) { return text("[local]\nsize=1\nfilters=", input.c, "\nactivation=linear\n"); }
std::string whole(const Case& c) { return front(c.input) + c.sections + "[cost]\ntype=sse\n"; }

// Direction in which the outputs are summed to one number, and so their delta.
Floats direction(std::size_t count) { return random_values(count, 5, -1, 1); }

// Sets the truths of the last [cost] so that its delta is direction(), and runs backward.
Floats learn(Bench& bench, const Floats& output) {
    bench.plan->forward();
    Floats truths = output;
    const Floats r = direction(truths.size());
    for (std::size_t k = 0; k < truths.size(); ++k) truths[k] += r[k];
    bench.backward(truths);
    return truths;
}

double projected(Bench& bench) {
    bench.plan->forward();
    const Floats y = bench.read(static_cast<int>(bench.graph.nodes.size()) - 1), r = direction(y.size());
    double sum = 0;
    for (std::size_t k = 0; k < y.size(); ++k) sum += static_cast<double>(r[k]) * y[k];
    return sum;
}

// Effect of one value on the projection within a step: its central difference, and how much the differences to either
// side disagree, which a curve makes smaller with the step and a kink does not.
struct Difference {
    double central, bend;
};

Difference difference(Bench& bench, float& value, float step) {
    const float before = value;
    const double here = projected(bench);
    value = before + step;
    const float up = value;
    const double above = (projected(bench) - here) / (static_cast<double>(up) - before);
    value = before - step;
    const double below = (here - projected(bench)) / (static_cast<double>(before) - value);
    value = before;
    return {(above + below) / 2, above - below};
}

float largest(const Floats& values) {
    float most = 0;
    for (float value : values) most = std::max(most, std::fabs(value));
    return most;
}

// A sample of the values of one array. Where a kink lies within the step there is no derivative to compare with.
void check_differences(Bench& bench, const Node& node, Role role, float share) {
    constexpr std::size_t kSamples = 12;
    constexpr float kStep = 1.0f / 256, kTolerance = 4e-3f, kSmooth = 0.008f;
    const Floats gradient = bench.gradient(node.index, role);
    if (gradient.empty()) return;
    Floats& values = bench.parameters->nodes[node.index].array(role);
    const float scale = std::max(largest(gradient), 1e-2f);
    const std::size_t samples = std::min(kSamples, values.size());
    std::size_t smooth = 0;
    for (std::size_t n = 0; n < samples; ++n) {
        const std::size_t k = n * values.size() / samples;
        const Difference coarse = difference(bench, values[k], kStep), fine = difference(bench, values[k], kStep / 2);
        const double roughness = std::fabs(coarse.central - fine.central) + std::fabs(coarse.bend - 2 * fine.bend);
        if (share * roughness > kSmooth * scale) continue;
        ++smooth;
        const double expected = share * (4 * fine.central - coarse.central) / 3;
        INFO("layer ", node.index, " ", role_name(role), "[", k, "]: ", gradient[k], ", by differences ", expected);
        CHECK(std::fabs(gradient[k] - expected) <= kTolerance * scale);
    }
    CHECK_MESSAGE(3 * smooth >= samples, "layer ", node.index, ": ", smooth, " of ", samples, " points are smooth");
}

float distance(const Floats& found, const Floats& expected) {
    double difference = 0, size = 1e-12;
    for (std::size_t k = 0; k < found.size(); ++k) {
        difference += std::pow(static_cast<double>(found[k]) - expected[k], 2);
        size += std::pow(static_cast<double>(expected[k]), 2);
    }
    return static_cast<float>(std::sqrt(difference / size));
}

void check_gradients(const Bench& found, const Bench& expected, float tolerance) {
    for (const Node& node : expected.graph.nodes)
        for (Role role : kTrainedRoles) {
            const Floats gradient = expected.gradient(node.index, role);
            if (gradient.empty()) continue;
            INFO("layer ", node.index, " ", role_name(role));
            CHECK(distance(found.gradient(node.index, role), gradient) <= tolerance);
        }
}

Floats truths_of(const HeadCase& head) {
    if (head.one_hot) return {0, 1, 0, 0, 0, 0, 0, 1, 0.25f, 0.75f, 0, 0};
    return {0.3f, 0.35f, 0.4f, 0.5f, 1, 0, 0,    0,    0,    0,    0, 0,   // one box
            0.7f, 0.6f,  0.5f, 0.4f, 0, 0, 0.2f, 0.2f, 0.3f, 0.3f, 1, 0,   // two
            0,    0,     0,    0,    0, 0, 0,    0,    0,    0,    0, 0};  // none
}

Shape head_input(const HeadCase& head) {
    return head.one_hot ? Shape{head.channels, 1, 1} : Shape{head.channels, 4, 4};
}

}  // namespace

TEST_CASE("gradients: every layer stands in exactly one list of this file") {
    std::map<Kind, std::set<std::string>> lists;
    for (const Case& c : all_cases()) lists[c.kind].insert("checked by differences");
    for (const HeadCase& head : head_cases()) lists[head.kind].insert("a head");
    for (const auto& [kind, message] : refused()) lists[kind].insert("refused");
    for (Kind kind : kStopsGradients) lists[kind].insert("lets nothing through");
    for (const Kind kind : kAllKinds) {
        INFO("layer ", layer_def(kind).name, ": add it to a list of gradients.cpp");
        CHECK(lists[kind].size() == 1);
    }
}

TEST_CASE("layers: each that owns weights says how they begin, each head how it is read and trained") {
    for (const Case& c : all_cases())
        for (const Node& node : graph_of(whole(c), c.input).nodes)
            for (const ArraySpec& array : node.arrays) {
                CAPTURE(label(c));
                CHECK((array.role != Role::weights || layer_def(node.kind).initial_weights));
            }
    for (const Kind kind : kAllKinds) {
        const LayerDef& def = layer_def(kind);
        CAPTURE(def.name);
        CHECK(def.head == (def.decode != nullptr));
        CHECK(def.head == (def.classes != nullptr));
        CHECK((!def.head || def.loss || def.untrainable));
        CHECK_FALSE((def.loss && def.untrainable));
    }
}

TEST_CASE("gradients: ref agrees with central differences") {
    for (const Case& c : all_cases()) {
        CAPTURE(label(c));
        Bench bench(whole(c), c.input, "ref");
        const auto is_tested = [&](const Node& node) { return node.kind == c.kind; };
        REQUIRE(std::any_of(bench.graph.nodes.begin(), bench.graph.nodes.end(), is_tested));
        bench.plan->forward();
        learn(bench, bench.read(static_cast<int>(bench.graph.nodes.size()) - 1));
        for (const Node& node : bench.graph.nodes)
            for (Role role : kTrainedRoles)
                check_differences(bench, node, role, node.index == c.shared_node ? c.share : 1);
    }
}

TEST_CASE("gradients: every backend agrees with ref") {
    for (const Case& c : all_cases()) {
        CAPTURE(label(c));
        Bench ref(whole(c), c.input, "ref");
        ref.plan->forward();
        const int last = static_cast<int>(ref.graph.nodes.size()) - 1;
        const Floats truths = learn(ref, ref.read(last));
        for (const Setup& setup : other_setups()) {
            CAPTURE(setup.backend);
            Bench bench(whole(c), c.input, setup.backend, setup.tolerance.precision);
            bench.plan->forward();
            CHECK(distance(bench.read(last), ref.read(last)) <= setup.tolerance.output);
            bench.backward(truths);
            // Rounding moves a step function too often to compare.
            if (setup.exact() || c.name != "stair") check_gradients(bench, ref, setup.tolerance.gradient);
        }
    }
}

TEST_CASE("gradients: heads pass on what their loss says, alike on every backend") {
    for (const HeadCase& head : head_cases()) {
        CAPTURE(head.section);
        const std::string convolution = text("[convolutional]\nfilters=", head.channels, "\nsize=1\nactivation=mish\n");
        const std::string sections = front(head_input(head)) + convolution + head.section;
        Bench ref(sections, head_input(head), "ref");
        ref.plan->forward();
        const float cost = ref.backward(truths_of(head)).cost;
        CHECK(cost > 0);
        for (const Setup& setup : other_setups()) {
            CAPTURE(setup.backend);
            Bench bench(sections, head_input(head), setup.backend, setup.tolerance.precision);
            bench.plan->forward();
            CHECK(bench.backward(truths_of(head)).cost == doctest::Approx(cost).epsilon(setup.tolerance.cost));
            check_gradients(bench, ref, setup.tolerance.head_gradient);
        }
    }
}

TEST_CASE("gradients: what has no backward pass is refused with a reason") {
    const std::string front = "[net]\nwidth=4\nheight=4\nchannels=1\n[convolutional]\nfilters=7\nactivation=linear\n";
    const std::map<Kind, std::string> sections = {
        {Kind::detection, "[connected]\noutput=7\nactivation=linear\n[detection]\nclasses=2\ncoords=4\nside=1\n"},
        {Kind::contrastive,
         "[yolo]\nmask=0\nnum=1\nanchors=2,2\nclasses=2\nembedding_layer=0\n"
         "[route]\nlayers=0\n[contrastive]\nyolo_layer=1\n"}};
    for (const auto& entry : refused()) {
        const Network network(parse_cfg(front + sections.at(entry.first), "net.cfg"), "", {});
        CHECK_CONTAINS(error_of(Status::cfg, [&] { Trainer trainer(network); }), entry.second);
    }
}

// Darknet takes the slope of the normalisation to be w for relu and w (1 - w) for softmax, w normalised.
TEST_CASE("gradients: normalised weights of a shortcut have Darknet's factor") {
    const Shape input{4, 3, 3};
    const std::string shortcut = conv("") + "[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_feature\n";
    const Floats raw = {0.5f, 1.5f};
    for (const bool relu : {true, false}) {
        CAPTURE(relu);
        Floats normal = raw;
        for (float& w : normal) w = relu ? w : std::exp(w - 1.5f);
        const float sum = normal[0] + normal[1] + 1e-4f;
        for (float& w : normal) w /= sum;
        const auto learned = [&](const std::string& key, const Floats& weights) {
            Bench bench(front(input) + shortcut + key + "[cost]\n", input, "ref");
            bench.parameters->nodes[2].weights = weights;
            bench.plan->forward();
            learn(bench, bench.read(2));
            return bench.gradient(2, Role::weights);
        };
        const Floats plain = learned("", normal);
        const Floats found = learned(relu ? "weights_normalization=relu\n" : "weights_normalization=softmax\n", raw);
        for (int i = 0; i < 2; ++i)
            CHECK(found[i] ==
                  doctest::Approx(plain[i] * (relu ? normal[i] : normal[i] * (1 - normal[i]))).epsilon(1e-4));
    }
}
