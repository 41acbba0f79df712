// SPDX-License-Identifier: Apache-2.0
// Training of convolutions in Winograd's form against ref, per tile size: outputs, gradients of filters and of sources.
#if defined(DN_HAVE_ONEDNN)
#include "winograd.hpp"

using namespace dn;
using namespace dn::test;

namespace {

struct Net {
    std::string sections;
    Shape input;
    int images = 2;
};

struct Trained {
    Floats output, truths;
    std::vector<Floats> gradients;  // of the weights of every layer
    std::string what;
};

std::string conv(int filters, const std::string& activation, const std::string& more = "pad=1\n") {
    return text("[convolutional]\nsize=3\nstride=1\nfilters=", filters, "\nactivation=", activation, "\n", more);
}

const std::string kNormalized = "pad=1\nbatch_normalize=1\n";

// Forward and backward, twice, so that gradients are added up. truths: empty to make them, so that deltas are of both
// signs.
Trained train(const std::string& backend, const Net& net, ConvMethod method, int threads, Floats truths = {}) {
    const Graph graph = graph_of(net.sections + "[cost]\ntype=sse\n", net.input);
    const auto parameters = initial_parameters(graph, 1);
    unsigned seed = 3;
    for (NodeParameters& node : parameters->nodes) node.biases = random_floats(node.biases.size(), ++seed);
    const auto state = make_backend(backend)->train_state(graph, parameters, threads);
    const Training training{state.get(), 0};
    PlanOptions options;
    options.batch = net.images;
    options.threads = threads;
    options.precision = Precision::f32;
    options.training = &training;
    options.convolutions = method;
    const auto plan = make_backend(backend)->compile(graph, parameters, options);
    const Floats x = random_floats(net.images * net.input.size(), 11);
    std::copy(x.begin(), x.end(), plan->input());
    plan->forward();

    const int last = static_cast<int>(graph.nodes.size()) - 1;
    Trained result;
    result.output.resize(net.images * graph.nodes[last].out.size());
    plan->read(last, result.output.data());
    if (truths.empty()) {
        truths = random_floats(result.output.size(), 5);
        for (std::size_t k = 0; k < truths.size(); ++k) truths[k] += result.output[k];
    }
    std::vector<LossReport> reports(graph.nodes.size());
    for (int pass = 0; pass < 2; ++pass) {
        plan->forward();
        plan->backward({{truths.data(), net.images, truths.size() / net.images}, graph.input, 0}, reports);
    }
    for (const Node& node : graph.nodes) {
        result.gradients.emplace_back(state->count(StateKind::gradients, node.index, Role::weights));
        state->get(StateKind::gradients, node.index, Role::weights, result.gradients.back().data());
    }
    for (const LayerTime& time : plan->profile()) result.what += time.what + " ";
    result.truths = truths;
    return result;
}

// Of all layers the gradients' is 2e-4 (tolerances.hpp).
constexpr double kTolerance2 = 4e-6, kTolerance4 = 1e-5;

void check_training(const Net& net) {
    CAPTURE(net.sections);
    CAPTURE(net.input.h);
    CAPTURE(net.input.w);
    const Trained expected = train("ref", net, ConvMethod::automatic, 1);
    for (const ConvMethod method : {ConvMethod::winograd2, ConvMethod::winograd4}) {
        const bool large = method == ConvMethod::winograd4;
        const Trained found = train("cpu", net, method, 2, expected.truths);
        CHECK_CONTAINS(found.what, large ? "winograd4" : "winograd2");
        CHECK(relative_error(found.output, expected.output) <= (large ? kTolerance4 : kTolerance2));
        for (std::size_t node = 0; node < expected.gradients.size(); ++node) {
            if (expected.gradients[node].empty()) continue;
            CAPTURE(node);
            CHECK(relative_error(found.gradients[node], expected.gradients[node]) <=
                  (large ? kTolerance4 : kTolerance2));
        }
    }
}

}  // namespace

TEST_CASE("winograd in training: maps of every size up to two tiles, and paddings of 0, 1 and 2") {
    for (int size = 1; size <= 9; ++size)
        check_training({conv(16, "leaky") + conv(5, "linear"), {8, size, 10 - size}, 3});
    for (const char* pad : {"pad=0\n", "pad=0\npadding=2\n"})
        for (const Shape& input : {Shape{4, 6, 5}, Shape{4, 7, 11}})
            check_training({conv(8, "mish") + conv(6, "linear", pad), input});
}

TEST_CASE("winograd in training: channels and filters that fill no vector, no panel or no run") {
    for (int channels : {1, 17, 33})
        for (int filters : {7, 16, 33})
            check_training({conv(channels, "linear") + conv(filters, "linear"), {3, 5, 6}, 1});
}

TEST_CASE("winograd in training: batch norm, and sources that several layers read") {
    check_training({conv(12, "leaky", kNormalized) + conv(12, "mish", kNormalized), {3, 9, 10}, 3});
    check_training({conv(12, "leaky") + conv(12, "leaky") + "[shortcut]\nfrom=-2\nactivation=linear\n" +
                        conv(12, "linear") + "[shortcut]\nfrom=-3\nactivation=linear\n",
                    {3, 9, 10}});
}

TEST_CASE("winograd in training: more tiles than are transformed at a time, whatever the threads") {
    const Net net{conv(4, "leaky") + conv(3, "linear"), {3, 42, 61}};
    check_training(net);
    for (const ConvMethod method : {ConvMethod::winograd2, ConvMethod::winograd4}) {
        const Trained alone = train("cpu", net, method, 1);
        const Trained team = train("cpu", net, method, 3, alone.truths);
        CHECK(team.output == alone.output);
        CHECK(team.gradients == alone.gradients);
    }
}

TEST_CASE("winograd in training: the default where it is that of inference in float32") {
    const auto uses = [](const Net& net, ConvMethod method) {
        return train("cpu", net, method, 1).what.find("winograd") != std::string::npos;
    };
    const Net net{conv(32, "leaky"), {32, 8, 8}, 1};
    const Graph graph = graph_of(net.sections, net.input);
    PlanOptions f32;
    f32.precision = Precision::f32;
    const auto inference = make_backend("cpu")->compile(graph, initial_parameters(graph, 1), f32);
    std::string what;
    for (const LayerTime& time : inference->profile()) what += time.what;
    CHECK(uses(net, ConvMethod::automatic) == (what.find("winograd") != std::string::npos));
    CHECK_FALSE(uses(net, ConvMethod::direct));
    CHECK_FALSE(uses({conv(32, "leaky"), {3, 8, 8}, 1}, ConvMethod::automatic));
}
#endif
