// SPDX-License-Identifier: Apache-2.0
// Graph passes: what is fused, what shares memory with what, and that nothing alive is overwritten.
#include "passes/passes.hpp"

#include <cmath>
#include <random>

#include "ops/ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const Shape kInput{8, 4, 4};
const std::string kConv = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n";
const std::string kPool = "[maxpool]\nsize=3\nstride=1\n";

// The rules of a backend of one type, whose convolutions need dense tensors and write over nothing but their residual.
PlacementRules rules() {
    PlacementRules rules;
    rules.type = [](int) { return DType::f32; };
    rules.reads_slices = [](const Node& node) { return node.kind != Kind::convolutional; };
    rules.writes_slices = rules.reads_slices;
    rules.in_place = [](const Node& node, std::size_t input) {
        return node.kind != Kind::convolutional || input == node.inputs.size();
    };
    return rules;
}

Placement place(const FusedGraph& fused, const std::vector<int>& wanted) {
    return place_outputs(fused, wanted, rules());
}
Placement place(const Graph& graph, const std::vector<int>& wanted) { return place(FusedGraph(graph), wanted); }

}  // namespace

TEST_CASE("fold: batch-norm becomes a factor of the weights and a shift of the bias") {
    NodeParameters params;
    params.weights = {1, 2, 3, 4};
    params.biases = {0.5f, -1};
    params.scales = {2, 3};
    params.means = {1, 10};
    params.variances = {4, 9};
    Floats weights(4), biases(2);
    fold_weights(params, weights.data());
    fold_biases(params, biases.data());
    const double a = 2 / std::sqrt(4 + 1e-5), b = 3 / std::sqrt(9 + 1e-5);
    CHECK(weights[1] == doctest::Approx(2 * a));
    CHECK(weights[2] == doctest::Approx(3 * b));
    CHECK(biases[0] == doctest::Approx(0.5 - a));
    CHECK(biases[1] == doctest::Approx(-1 - 10 * b));
}

TEST_CASE("fold: without batch-norm nothing changes") {
    NodeParameters params;
    params.weights = {1, 2};
    params.biases = {3};
    Floats weights(2), biases(1);
    fold_weights(params, weights.data());
    fold_biases(params, biases.data());
    CHECK(weights == params.weights);
    CHECK(biases == params.biases);
}

TEST_CASE("fuse: a shortcut goes into the convolution before it") {
    const Graph graph = graph_of(kConv + kConv + "[shortcut]\nfrom=-2\nactivation=leaky\n" + kPool, kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {3});
    CHECK(fused.of(1).residual == 0);
    CHECK(fused.of(1).residual_activation == Activation::leaky);
    CHECK(fused.of(2).computed_elsewhere);
}

TEST_CASE("fuse: also through a dropout") {
    const Graph graph = graph_of(kConv + kConv + "[dropout]\n[shortcut]\nfrom=-3\n" + kPool, kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {4});
    CHECK(fused.of(1).residual == 0);
    CHECK(fused.of(3).computed_elsewhere);
}

TEST_CASE("fuse: not when another node needs the convolution's own output") {
    const auto is_fused = [](const std::string& rest, const std::vector<int>& wanted) {
        const Graph graph = graph_of(kConv + kConv + rest, kInput);
        FusedGraph passed(graph);
        fuse_shortcuts(passed, wanted);
        return passed.of(2).computed_elsewhere;
    };
    CHECK(is_fused("[shortcut]\nfrom=-2\n", {2}));
    CHECK_FALSE(is_fused("[shortcut]\nfrom=-2\n", {1, 2}));                      // it is to be read
    CHECK_FALSE(is_fused("[shortcut]\nfrom=-2\n[route]\nlayers=-2,-1\n", {3}));  // a route takes it
    CHECK_FALSE(is_fused("[shortcut]\nfrom=-2,-2\n", {2}));                      // two sources
    CHECK_FALSE(is_fused("[shortcut]\nfrom=-2\nweights_type=per_feature\nweights_normalization=relu\n", {2}));
}

TEST_CASE("fuse: a bottleneck becomes one node that reads what its first convolution read") {
    const std::string wide = "[convolutional]\nfilters=32\nsize=1\n";
    const std::string depthwise = "[convolutional]\nfilters=32\ngroups=32\nsize=3\npad=1\n";
    const std::string block = wide + depthwise + "[convolutional]\nfilters=8\nsize=1\n";
    const Graph graph = graph_of(kConv + block, kInput);
    FusedGraph fused(graph);
    fuse_bottlenecks(fused, {3}, [](const Bottleneck&) { return true; });
    CHECK(fused.of(3).first == 1);
    CHECK(fused.of(3).depthwise == 2);
    CHECK(fused.inputs(graph.nodes[3]) == std::vector<int>{0});
    CHECK(fused.of(1).computed_elsewhere);
    CHECK(fused.of(2).computed_elsewhere);
    CHECK_FALSE(fused.of(3).computed_elsewhere);

    const auto middle_of = [](int node, const std::string& sections, const std::vector<int>& wanted,
                              bool accepted = true) {
        const Graph other = graph_of(kConv + sections, kInput);
        FusedGraph passed(other);
        fuse_bottlenecks(passed, wanted, [&](const Bottleneck&) { return accepted; });
        return passed.of(node).depthwise;
    };
    CHECK(middle_of(3, block, {3}, false) == -1);
    CHECK(middle_of(3, block, {2, 3}) == -1);                           // it is to be read
    CHECK(middle_of(3, block + "[route]\nlayers=-1,-3\n", {4}) == -1);  // a route takes it
    CHECK(middle_of(4, kConv + block, {4}) == 3);
    CHECK(middle_of(3, wide + wide + "[convolutional]\nfilters=8\nsize=1\n", {3}) == -1);
}

TEST_CASE("fuse: two convolutions become one node, if no other reads the first") {
    const auto first_of = [](int node, const std::string& sections, const std::vector<int>& wanted,
                             bool accepted = true) {
        const Graph graph = graph_of(sections, kInput);
        FusedGraph fused(graph);
        fuse_pairs(fused, wanted, [&](const ConvPair&) { return accepted; });
        if (fused.of(node).first >= 0) CHECK(fused.of(fused.of(node).first).computed_elsewhere);
        return fused.of(node).first;
    };
    CHECK(first_of(1, kConv + kConv, {1}) == 0);
    CHECK(first_of(1, kConv + kConv, {1}, false) == -1);
    CHECK(first_of(1, kConv + kConv, {0, 1}) == -1);                           // it is to be read
    CHECK(first_of(1, kConv + kConv + "[route]\nlayers=-1,-2\n", {2}) == -1);  // a route takes it
    CHECK(first_of(1, kConv + "[upsample]\n" + kConv, {2}) == -1);
    CHECK(first_of(2, kConv + kConv + kConv, {2}) == -1);  // pairs do not overlap
    CHECK(first_of(3, kConv + kConv + kConv + kConv, {3}) == 2);
}

TEST_CASE("fuse: what a bottleneck reads lives until it is done, and nothing between has a place of its own") {
    const std::string wide = "[convolutional]\nfilters=32\nsize=1\n";
    const std::string depthwise = "[convolutional]\nfilters=32\ngroups=32\nsize=3\npad=1\n";
    const std::string narrow = "[convolutional]\nfilters=8\nsize=1\n";
    const Graph graph = graph_of(kConv + wide + depthwise + narrow + "[shortcut]\nfrom=-4\n", kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {4});
    fuse_bottlenecks(fused, {4}, [](const Bottleneck&) { return true; });
    CHECK(fused.of(3).residual == 0);
    const Placement placement = place(fused, {4});
    CHECK(placement.buffers.size() == 3);  // the input, what it reads and its sum
    CHECK(placement.buffers[placement.of(0).buffer].last == 3);
    CHECK(placement.of(3).buffer != placement.of(0).buffer);
}

TEST_CASE("place: pools write into the route that joins them, a convolution's output is copied") {
    const Graph graph = graph_of(kConv + kPool + kPool + "[route]\nlayers=-1,-2,-3\n", kInput);
    const Placement placement = place(graph, {3});
    CHECK(placement.of(2).buffer == placement.of(3).buffer);
    CHECK(placement.of(2).offset == 0);
    CHECK(placement.of(1).buffer == placement.of(3).buffer);
    CHECK(placement.of(1).offset == 8);
    CHECK(placement.of(0).buffer != placement.of(3).buffer);
}

TEST_CASE("place: nested routes are one buffer") {
    const Graph graph =
        graph_of(kConv + kPool + kPool + "[route]\nlayers=-1,-2\n" + kPool + "[route]\nlayers=-1,-2\n", kInput);
    const Placement placement = place(graph, {5});
    CHECK(placement.of(3).buffer == placement.of(5).buffer);
    CHECK(placement.of(3).offset == 16);
    CHECK(placement.of(1).buffer == placement.of(5).buffer);
    CHECK(placement.of(1).offset == 24);
}

TEST_CASE("place: half of the channels is a view where its readers allow one") {
    const std::string half = "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n";
    const Placement viewed = place(graph_of(kConv + half + kPool, kInput), {2});
    CHECK(viewed.of(1).buffer == viewed.of(0).buffer);
    CHECK(viewed.of(1).offset == 4);
    const Placement copied = place(graph_of(kConv + half + kConv, kInput), {2});
    CHECK(copied.of(1).buffer != copied.of(0).buffer);
}

TEST_CASE("place: dropout and a route of one layer are the layer itself") {
    const Graph graph = graph_of(kConv + "[dropout]\n[route]\nlayers=-1\n" + kPool, kInput);
    const Placement placement = place(graph, {3});
    CHECK(placement.of(2).buffer == placement.of(0).buffer);
    CHECK(is_pass_through(graph.nodes[1]));
    CHECK(is_pass_through(graph.nodes[2]));
    CHECK_FALSE(is_pass_through(graph.nodes[3]));
}

TEST_CASE("place: a residual that the convolution itself reads is not overwritten") {
    const Graph graph = graph_of(kConv + kConv + "[shortcut]\nfrom=-2\n", kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {2});
    REQUIRE(fused.of(2).computed_elsewhere);
    const Placement placement = place(fused, {2});
    CHECK(placement.of(2).buffer != placement.of(0).buffer);
}

TEST_CASE("place: a residual that is read later is not overwritten") {
    const std::string block = kConv + kConv + kConv + "[shortcut]\nfrom=-3\n";
    const Graph graph = graph_of(block + "[route]\nlayers=-1,-4\n", kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {4});
    REQUIRE(fused.of(3).computed_elsewhere);
    const Placement placement = place(fused, {4});
    CHECK(placement.of(3).buffer != placement.of(0).buffer);
}

TEST_CASE("place: a chain of residual blocks runs in one buffer") {
    const std::string block = kConv + kConv + "[shortcut]\nfrom=-3\n";
    const Graph graph = graph_of(kConv + block + block, kInput);
    FusedGraph fused(graph);
    fuse_shortcuts(fused, {6});
    const Placement placement = place(fused, {6});
    CHECK(fused.of(3).computed_elsewhere);
    CHECK(placement.of(3).buffer == placement.of(0).buffer);
    CHECK(placement.of(6).buffer == placement.of(0).buffer);
    // The same, but the first block's input is to be read afterwards.
    const Placement kept = place(fused, {0, 6});
    CHECK(kept.of(3).buffer != kept.of(0).buffer);
}

TEST_CASE("place: a wanted output lives to the end, others to their last reader") {
    const Graph graph = graph_of(kConv + kConv + kConv + kConv, kInput);
    const Placement placement = place(graph, {1});
    CHECK(placement.buffers[placement.of(0).buffer].last == 1);
    CHECK(placement.buffers[placement.of(1).buffer].last == 4);
    CHECK(placement.buffers[placement.of(-1).buffer].first == -1);
}

TEST_CASE("pack: buffers alive together never overlap, and the arena is no larger than all of them") {
    std::mt19937 random(7);
    for (int trial = 0; trial < 200; ++trial) {
        std::vector<Buffer> buffers;
        std::size_t total = 0;
        for (int i = 0; i < 30; ++i) {
            const int first = static_cast<int>(random() % 40);
            buffers.push_back({{static_cast<int>(random() % 50 + 1), 3, 5},
                               random() % 2 ? DType::f32 : DType::bf16,
                               first,
                               first + static_cast<int>(random() % 10)});
        }
        const std::size_t arena = pack_arena(buffers, 2);
        for (const Buffer& a : buffers) {
            const std::size_t size = 2 * a.shape.size() * bytes(a.type);
            total += size + kArenaAlignment;
            REQUIRE(a.start % kArenaAlignment == 0);
            REQUIRE(a.start + size <= arena);
            for (const Buffer& b : buffers) {
                if (&a == &b || a.last < b.first || b.last < a.first) continue;
                REQUIRE((a.start + size <= b.start || b.start + 2 * b.shape.size() * bytes(b.type) <= a.start));
            }
        }
        CHECK(arena <= total);
    }
}

TEST_CASE("pack: a chain needs room for two neighbours only") {
    std::vector<Buffer> chain;
    for (int i = 0; i < 10; ++i) chain.push_back({{16, 4, 4}, DType::f32, i, i + 1});
    CHECK(pack_arena(chain, 1) == 2 * 16 * 4 * 4 * sizeof(float));
}

TEST_CASE("place: the longest network that a cfg may describe takes one buffer, and no time to speak of") {
    std::string sections = kConv;
    for (int i = 0; i < 9000; ++i) sections += "[activation]\nactivation=relu\n";
    const Graph graph = graph_of(sections, kInput);
    const int last = static_cast<int>(graph.nodes.size()) - 1;
    const Placement placement = place(graph, {last});
    CHECK(placement.of(last).buffer == placement.of(0).buffer);
    CHECK(placement.buffers.size() == 2);
}
