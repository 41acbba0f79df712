// SPDX-License-Identifier: Apache-2.0
// Plans of the cuda backend on the fakes: images in, boxes out, and what waits for what.
#include <cmath>
#include <cstring>

#include "../ops/ops.hpp"
#include "fake_gpu.hpp"
#include "random.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kBody = "[convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n";
const std::string kYolo =
    "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
    "[yolo]\nclasses=3\nnum=3\nmask=0,1,2\nanchors=4,5,6,7,8,9\nscale_x_y=1.1\n";
const std::string kGaussian =
    "[route]\nlayers=0\n[convolutional]\nfilters=22\nsize=1\nactivation=linear\n"
    "[Gaussian_yolo]\nclasses=2\nnum=2\nmask=0,1\nanchors=4,5,6,7\n";
const std::string kRegion =
    "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
    "[region]\nclasses=3\ncoords=4\nnum=2\nanchors=1,2,3,4\nsoftmax=1\n";
const Shape kInput{3, 18, 22};
constexpr int kBatch = 2;

// A network, and one of its plans.
struct Net {
    Net(const std::string& sections, const Backend& backend)
        : graph(graph_of(sections, kInput)), parameters(initial_parameters(graph, 1)) {
        PlanOptions options;
        options.batch = kBatch;
        options.precision = Precision::f32;
        plan = backend.compile(graph, parameters, options);
    }
    void fill(std::uint64_t seed = 1) const {
        float* input = plan->input();
        for (std::size_t k = 0; k < kBatch * graph.input.size(); ++k) input[k] = 4 * uniform(seed, k) - 2;
    }

    Graph graph;
    std::shared_ptr<Parameters> parameters;
    std::unique_ptr<Plan> plan;
};

bool same(const Candidate& a, const Candidate& b) {
    return std::memcmp(&a.box, &b.box, sizeof a.box) == 0 && a.objectness == b.objectness && a.prob == b.prob &&
           std::memcmp(a.uncertainty, b.uncertainty, sizeof a.uncertainty) == 0 && a.best_class == b.best_class;
}

bool same(const std::vector<std::vector<Candidate>>& a, const std::vector<std::vector<Candidate>>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](auto& p, auto& q) { return same(p, q); });
    });
}

std::size_t count(const std::vector<std::vector<Candidate>>& all) {
    std::size_t sum = 0;
    for (const auto& of_image : all) sum += of_image.size();
    return sum;
}

}  // namespace

TEST_CASE("cuda: boxes found on the device are those decoded from whole heads, in their order") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kYolo + kGaussian, *backend);
    net.fill();
    net.plan->forward();
    const auto heads = [&](const std::vector<DecodeOptions>& options) { return net.plan->Plan::candidates(options); };
    for (const float thresh : {0.99f, 0.6f, 0.4f}) {
        CAPTURE(thresh);
        // Of each image its own threshold and size; then of the first image alone.
        const std::vector<DecodeOptions> both{{thresh, true, true, 40, 30}, {thresh + 0.1f, false, false, 64, 64}};
        const std::vector<DecodeOptions> first{both[0]};
        CHECK(same(net.plan->candidates(both), heads(both)));
        CHECK(same(net.plan->candidates(first), heads(first)));
        if (thresh < 0.5f) CHECK(count(heads(both)) > 50);
    }
}

TEST_CASE("cuda: few bytes cross the bus for few boxes, and whole heads for many") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kYolo, *backend);
    net.fill();
    net.plan->forward();
    const auto downloaded = [&](float thresh) {
        const long long before = gpu.count("downloaded");
        const std::vector<DecodeOptions> options(2, {thresh, true, false, 40, 30});
        const auto found = net.plan->candidates(options);
        const long long bytes = gpu.count("downloaded") - before;
        CHECK(same(found, net.plan->Plan::candidates(options)));
        return std::make_pair(bytes, count(found));
    };
    const auto few = downloaded(0.7f);
    constexpr int record = (1 + 8) * sizeof(float);
    CHECK(few.second > 0);
    CHECK(few.first == static_cast<long long>(sizeof(int) + few.second * record));
    const auto all = downloaded(0.0f);  // more than there is room for
    CHECK(all.second == 2 * 9 * 11 * 3);
    CHECK(all.first >= static_cast<long long>(2 * net.graph.nodes.back().out.size() * sizeof(float)));
}

TEST_CASE("cuda: heads whose boxes have no threshold of their own are decoded from all values") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kRegion, *backend);
    net.fill();
    net.plan->forward();
    const std::vector<DecodeOptions> options(2, {0.3f, true, false, 40, 30});
    const auto found = net.plan->candidates(options);
    CHECK(found.at(0).size() == 9 * 11 * 2);
    CHECK(same(found, net.plan->Plan::candidates(options)));
}
