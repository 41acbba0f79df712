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

namespace {

struct Pixels {
    Pixels(int width, int height, int channels, std::uint64_t seed)
        : bytes(std::size_t{1} * width * height * channels + height * std::size_t{5}) {
        for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<unsigned char>(256 * uniform(seed, k));
        view = {bytes.data(), width, height, channels, std::size_t{1} * width * channels + 5, 1, channels != 4};
    }
    std::vector<unsigned char> bytes;
    ImageView view{};
};

Floats output(const Net& net) {
    const std::vector<int> outputs = net.graph.default_outputs();
    Floats all(kBatch * net.graph.nodes[outputs[0]].out.size());
    net.plan->read(outputs[0], all.data());
    return all;
}

// Of the images, put into the network by the host or by the plan.
Floats output(const Net& net, const std::vector<ImageView>& images, bool letterbox, bool by_host) {
    if (by_host)
        net.plan->Plan::load(images.data(), static_cast<int>(images.size()), letterbox);
    else
        net.plan->load(images.data(), static_cast<int>(images.size()), letterbox);
    net.plan->forward();
    return output(net);
}

}  // namespace

TEST_CASE("cuda: images are resized on the device as by the host, bit by bit") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody, *backend);
    const Pixels small(13, 9, 3, 1), tall(10, 40, 4, 2), grey(30, 20, 1, 3);
    for (const bool letterbox : {false, true}) {
        const std::vector<ImageView> images{small.view, tall.view}, others{grey.view, small.view};
        const Floats first = output(net, images, letterbox, true), second = output(net, others, letterbox, true);
        CHECK(first != second);
        CHECK(output(net, images, letterbox, false) == first);
        CHECK(output(net, others, letterbox, false) == second);
        net.plan->forward();  // once more the same
        CHECK(output(net) == second);
        // One image: the first of the batch, on the heels of two; then planes.
        Floats one = output(net, {tall.view}, letterbox, false), expected = output(net, {tall.view}, letterbox, true);
        one.resize(one.size() / kBatch);
        expected.resize(one.size());
        CHECK(one == expected);
    }
    const long long before = gpu.count("uploaded");
    output(net, {small.view, tall.view}, false, false);
    CHECK(gpu.count("uploaded") - before == 512 + 1792);  // of 13 x 9 x 3 and 10 x 40 x 4 bytes, aligned
}

TEST_CASE("cuda: an image of many times the network's size is resized by the host, one that does not fit refused") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody, *backend);
    const Pixels large(200, 200, 3, 1), odd(9, 9, 2, 1);
    const Floats expected = output(net, {large.view, large.view}, true, true);
    const long long before = gpu.count("uploaded");
    CHECK(output(net, {large.view, large.view}, true, false) == expected);
    CHECK(gpu.count("uploaded") - before == static_cast<long long>(kBatch * kInput.size() * sizeof(float)));
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { net.plan->load(&odd.view, 1, false); }),
                   "found 2 channels, the network takes 3");
    net.plan->forward();
    CHECK(output(net) == expected);
}

TEST_CASE("cuda: images for which the GPU has no memory are resized by the host") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody, *backend);
    const Pixels small(22, 18, 3, 1);
    const Floats expected = output(net, {small.view, small.view}, true, true);
    gpu.set("memory", gpu.count("used"));
    CHECK(output(net, {small.view, small.view}, true, false) == expected);
    CHECK(output(net, {small.view, small.view}, true, false) == expected);
}

TEST_CASE("cuda: a forward pass is waited for when its result is read, and its input when the next is written") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kYolo, *backend);
    net.fill(1);
    net.plan->forward();
    const Floats first = output(net);
    net.fill(2);
    net.plan->forward();
    const Floats second = output(net);
    CHECK(first != second);
    net.fill(1);
    const long long waits = gpu.count("synchronize");
    net.plan->forward();
    CHECK(gpu.count("synchronize") == waits);
    net.fill(2);  // waits for the upload, and not for the pass
    CHECK(gpu.count("synchronize") == waits);
    CHECK(output(net) == first);
    net.plan->forward();
    CHECK(output(net) == second);
    const Pixels a(22, 18, 3, 1), b(22, 18, 3, 2);
    const Floats of_b = output(net, {b.view, b.view}, false, true);
    const std::vector<ImageView> images{a.view, a.view}, later{b.view, b.view};
    net.plan->load(images.data(), kBatch, false);
    net.plan->forward();
    net.plan->load(later.data(), kBatch, false);
    const Floats of_a = output(net);
    CHECK(of_a == output(net, images, false, true));
    CHECK(of_a != of_b);
    net.plan->load(later.data(), kBatch, false);
    net.plan->forward();
    CHECK(output(net) == of_b);
}

TEST_CASE("cuda: a plan on a GPU that stopped reports it when the result is read, and then refuses to continue") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kYolo, *backend);
    net.fill();
    net.plan->forward();
    gpu.set("fail", 700);
    CHECK_CONTAINS(error_of(Status::backend, [&] { output(net); }), "CUDA_ERROR_ILLEGAL_ADDRESS");
    for (const auto& use :
         {std::function<void()>([&] { net.plan->forward(); }), {[&] { output(net); }}, {[&] { net.fill(); }}, {[&] {
              net.plan->candidates({{}});
          }}})
        CHECK_CONTAINS(error_of(Status::backend, use), "end this program and start it again");
}

namespace {

// Outputs of three passes with different inputs, and what the driver was asked for in the last.
struct Passes {
    std::vector<Floats> outputs;
    long long launches, graph_launches;
};

// graphs: the value of PYDARKNET_CUDA_GRAPHS.
Passes passes(const FakeGpu& gpu, const std::string& sections, const char* graphs) {
    setenv("PYDARKNET_CUDA_GRAPHS", graphs, 1);
    const auto backend = FakeGpu::backend();
    const Graph graph = graph_of(sections, kInput);
    PlanOptions options;
    options.batch = kBatch;
    const auto parameters = initial_parameters(graph, 1);
    const auto plan = backend->compile(graph, parameters, options);
    unsetenv("PYDARKNET_CUDA_GRAPHS");
    Passes found{};
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        float* input = plan->input();
        for (std::size_t k = 0; k < kBatch * kInput.size(); ++k) input[k] = uniform(seed, k);
        const long long launches = gpu.count("launches") + gpu.count("convolutions"),
                        launched = gpu.count("graph_launches");
        plan->forward();
        found.launches = gpu.count("launches") + gpu.count("convolutions") - launches;
        found.graph_launches = gpu.count("graph_launches") - launched;
        const int last = graph.default_outputs()[0];
        found.outputs.emplace_back(kBatch * graph.nodes[last].out.size());
        plan->read(last, found.outputs.back().data());
    }
    return found;
}

}  // namespace

TEST_CASE("cuda: from the second pass on, kernels are launched as one graph, with the same result") {
    const FakeGpu gpu;
    const Passes single = passes(gpu, kBody + kYolo, "0");
    CHECK(single.graph_launches == 0);
    CHECK(single.outputs[0] != single.outputs[1]);
    const Passes graph = passes(gpu, kBody + kYolo, "1");
    CHECK(graph.outputs == single.outputs);
    CHECK(graph.launches == 1);  // of the input, whose kernel changes
    CHECK(graph.graph_launches == 1);
    // A layer that the host computes lies between two graphs.
    const std::string split = kBody + "[local]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n" + kYolo;
    const Passes parts = passes(gpu, split, "1");
    CHECK(parts.graph_launches == 2);
    CHECK(parts.outputs == passes(gpu, split, "0").outputs);
}

TEST_CASE("cuda: where a graph cannot be captured, kernels are launched one by one, or that is an error if asked for") {
    const FakeGpu gpu;
    const Passes single = passes(gpu, kBody + kYolo, "0");
    gpu.set("refuse_capture", 1);
    const Passes refused = passes(gpu, kBody + kYolo, "");
    CHECK(refused.outputs == single.outputs);
    CHECK(refused.launches == single.launches);
    CHECK_CONTAINS(error_of(Status::backend, [&] { passes(gpu, kBody + kYolo, "1"); }), "cuStreamEndCapture failed");
    setenv("PYDARKNET_CUDA_GRAPHS", "1", 1);
    const auto backend = FakeGpu::backend();
    const Net net(kBody + kYolo, *backend);
    unsetenv("PYDARKNET_CUDA_GRAPHS");
    net.plan->forward();
    for (int i = 0; i < 2; ++i)  // each time, not once
        CHECK_CONTAINS(error_of(Status::backend, [&] { net.plan->forward(); }), "cuStreamEndCapture failed");
}

TEST_CASE("cuda: PYDARKNET_CUDA_GRAPHS must be a number that is known") {
    const FakeGpu gpu;
    CHECK(passes(gpu, kBody + kYolo, "").graph_launches == 1);
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { passes(gpu, kBody, "no"); }),
                   "PYDARKNET_CUDA_GRAPHS: found 'no', expected 0 or 1");
    unsetenv("PYDARKNET_CUDA_GRAPHS");
}

TEST_CASE("cuda: the memory of a plan is as forecast, tables and kept values included") {
    const FakeGpu gpu;
    const std::string sections =
        "[crop]\ncrop_height=16\ncrop_width=20\n[normalization]\n[reorg3d]\nstride=2\n[reorg]\nstride=2\n"
        "[route]\nlayers=-1\n[shortcut]\nfrom=-2\nweights_type=per_channel\nactivation=linear\n";
    const auto backend = FakeGpu::backend();
    const Graph graph = graph_of(sections, kInput);
    PlanOptions options;
    options.batch = kBatch;
    for (const Precision precision : {Precision::f32, Precision::f16}) {
        options.precision = precision;
        const auto parameters = initial_parameters(graph, 1);
        const long long before = gpu.count("used");
        const auto plan = backend->compile(graph, parameters, options);
        const long long used = gpu.count("used") - before;
        const auto expected = static_cast<long long>(backend->plan_bytes(graph, options));
        CHECK(used == expected);
    }
}

TEST_CASE("cuda: more images than a GPU takes at once are an error, in a training as well") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Graph graph = graph_of("[maxpool]\nsize=2\nstride=2\n[cost]\n", {1, 2, 2});
    const auto parameters = initial_parameters(graph, 1);
    const auto state = backend->train_state(graph, parameters, 1);
    const Training training{state.get(), 0};
    for (const Training* of : {static_cast<const Training*>(nullptr), &training}) {
        PlanOptions options;
        options.precision = Precision::f32;
        options.training = of;
        options.batch = 65536;
        CHECK_CONTAINS(error_of(Status::backend, [&] { backend->compile(graph, parameters, options); }),
                       "found a batch of 65536, expected at most 65535 images at once on a GPU; use a smaller batch");
        options.batch = 65535;
        CHECK_NOTHROW(backend->compile(graph, parameters, options));
    }
}

TEST_CASE("cuda: a batch that is too large for the GPU is an error that names a batch that fits") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Graph graph = graph_of(kBody + kYolo, {3, 256, 256});
    const auto parameters = initial_parameters(graph, 1);
    PlanOptions options;
    options.precision = Precision::f32;
    const auto compile = [&](int batch) {
        options.batch = batch;
        backend->compile(graph, parameters, options);
    };
    gpu.set("memory", 32 << 20);
    const std::string error = error_of(Status::out_of_memory, [&] { compile(64); });
    CHECK_CONTAINS(error, "cuda: found 32 MB of 32 MB free on the GPU, expected ");
    CHECK_CONTAINS(error, " MB for a batch of 64; a batch of ");
    const int fits = std::stoi(error.substr(error.find("; a batch of ") + std::string("; a batch of ").size()));
    CHECK(fits > 1);
    compile(fits);
    CHECK_CONTAINS(error_of(Status::out_of_memory, [&] { compile(fits + 1); }),
                   text("; a batch of ", fits, " may fit"));  // beside the scratch memory of cuDNN it may not
    gpu.set("memory", (32 << 20) + (256 << 20));              // and that of cuDNN
    CHECK_CONTAINS(error_of(Status::out_of_memory, [&] { compile(64 * 64); }), text("; a batch of ", fits, " fits"));
    CHECK(gpu.count("used") == 0);
    gpu.set("memory", 1 << 18);
    CHECK_CONTAINS(error_of(Status::out_of_memory, [&] { compile(2); }), "not even one image fits");
}
