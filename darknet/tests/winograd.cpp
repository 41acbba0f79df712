// SPDX-License-Identifier: Apache-2.0
// Convolutions in Winograd's form against ref, per tile size: edges, odd sizes, channels that fill no vector, slices.
#if defined(DN_HAVE_ONEDNN)
#include <limits>

#include "conv_methods.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// Of all layers it is 1e-5 (tolerances.hpp).
void check_methods(const ConvCase& net, double tolerance2 = 4e-6, double tolerance4 = 8e-6) {
    CAPTURE(net.sections);
    CAPTURE(net.input.h);
    CAPTURE(net.input.w);
    const Floats expected = output_of("ref", net, ConvMethod::automatic, 1, nullptr);
    for (const ConvMethod method : {ConvMethod::winograd2, ConvMethod::winograd4}) {
        const bool large = method == ConvMethod::winograd4;
        std::string what;
        const Floats found = output_of("cpu", net, method, 1, &what);
        CHECK_CONTAINS(what, large ? "winograd4" : "winograd2");
        CHECK(relative_error(found, expected) <= (large ? tolerance4 : tolerance2));
        CHECK(output_of("cpu", net, method, 3, nullptr) == found);  // whatever the threads
    }
}

}  // namespace

TEST_CASE("winograd: maps of every size up to two tiles, and paddings of 0, 1 and 2") {
    for (int size = 1; size <= 9; ++size) check_methods({conv(16, "leaky"), {8, size, 10 - size}, 2});
    for (const char* pad : {"pad=0\n", "pad=0\npadding=2\n"})
        for (const Shape& input : {Shape{8, 3, 3}, Shape{8, 7, 11}}) {
            CAPTURE(pad);
            check_methods(
                {"[convolutional]\nsize=3\nstride=1\nfilters=16\nactivation=linear\n" + std::string(pad), input});
        }
}

TEST_CASE("winograd: channels and filters that fill no vector, no panel or no block") {
    for (int channels : {1, 3, 15, 17, 33, 65, 130})
        for (int filters : {1, 7, 16, 31, 33}) check_methods({conv(filters, "linear"), {channels, 5, 6}});
}

TEST_CASE("winograd: more tiles than rows of sums in registers, in several parts") {
    for (int width : {21, 37, 53}) check_methods({conv(40, "leaky"), {70, 45, width}});
}

TEST_CASE("winograd: activations, fused shortcuts, and slices of wider tensors") {
    for (const char* activation : {"linear", "leaky", "relu", "logistic", "swish", "mish"}) {
        CAPTURE(activation);
        check_methods({conv(24, activation), {8, 13, 9}});
        check_methods(
            {conv(20, "leaky") + conv(20, activation) + "[shortcut]\nfrom=-2\nactivation=leaky\n", {8, 13, 9}, 2});
    }
    check_methods({conv(24, "leaky") + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(12, "mish") +
                       "[route]\nlayers=-1,-3\n",
                   {8, 9, 10},
                   2},
                  1e-5, 1e-5);
}

TEST_CASE("winograd: the default on vectors, but not where it cannot be or has nothing to save") {
    const auto used = [](const std::string& sections, Shape input) {
        std::string what;
        output_of("cpu", {sections, input}, ConvMethod::automatic, 1, &what);
        return what.find("winograd") != std::string::npos;
    };
    if (used(conv(32, "leaky"), {32, 16, 16})) {
        std::string what;
        output_of("cpu", {conv(32, "leaky"), {32, 16, 16}}, ConvMethod::direct, 1, &what);
        CHECK(what.find("winograd") == std::string::npos);
    }
    CHECK_FALSE(used(conv(32, "leaky"), {3, 16, 16}));
    for (const char* option : {"stride=2\n", "dilation=2\n", "groups=2\n", "antialiasing=1\nstride=2\n"}) {
        CAPTURE(option);
        CHECK_FALSE(
            used("[convolutional]\nfilters=32\nsize=3\npad=1\nactivation=leaky\n" + std::string(option), {32, 16, 16}));
    }
    CHECK_FALSE(used("[convolutional]\nfilters=32\nsize=1\nactivation=leaky\n", {32, 16, 16}));
    CHECK_FALSE(used(conv(32, "hardtan"), {32, 16, 16}));
}

TEST_CASE("winograd: infinities and NaN are not lost") {
    for (const float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        const ConvCase net{conv(16, "linear"), {8, 4, 4}};
        const Graph graph = graph_of(net.sections, net.input);
        PlanOptions options;
        options.convolutions = ConvMethod::winograd4;
        options.precision = Precision::f32;
        const auto plan = make_backend("cpu")->compile(graph, initial_parameters(graph, 1), options);
        Floats x = random_floats(net.input.size(), 2);
        x[5] = odd;
        std::copy(x.begin(), x.end(), plan->input());
        plan->forward();
        Floats y(graph.nodes[0].out.size());
        plan->read(0, y.data());
        CHECK_FALSE(std::isfinite(y[5]));
    }
}
#endif
