// SPDX-License-Identifier: Apache-2.0
// Values that the host sends while the GPU computes: nothing is read before it is there, and nothing overwritten before
// it was read. Copies of the fake GPU run as late as they may, and then as early.
#include "train_nets.hpp"

#include "backends/cuda/kernels/move.cuh"
#include "backends/cuda/launch.hpp"
#include "backends/cuda/upload.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("cuda upload: values are read when they are there, and stay until then") {
    const FakeGpu gpu;
    for (const bool eager : {false, true}) {
        CAPTURE(eager);
        gpu.set("eager_copies", eager);
        cuda::Runtime runtime(std::make_shared<cuda::Engine>(FakeGpu::libraries(), 0));
        const cuda::Entered here(*runtime.device());
        constexpr int kRounds = 5;
        const cuda::DeviceBuffer found(runtime.device(), kRounds * sizeof(float));
        const cuda::Launch<cuda::CopyArgs> copy(runtime, cuda::kernel::copy, DType::f32);
        cuda::Upload upload(runtime.device(), sizeof(float));
        CHECK(upload.bytes() == sizeof(float));
        for (int round = 0; round < kRounds; ++round) {
            *static_cast<float*>(upload.host()) = static_cast<float>(round + 1);
            upload.send(sizeof(float));
            upload.use(runtime.stream, [&](void* values) {
                copy(1, {{values, 1}, {found.get<float>() + round, 1}, nullptr, 1, 1, 1, false});
            });
        }
        Floats values(kRounds);
        runtime.stream.download(found.get(), values.data(), found.bytes());
        runtime.stream.synchronize();
        CHECK(values == Floats{1, 2, 3, 4, 5});
    }
}

namespace {

// Costs of four mini-batches with different images. announced: images that are announced in front of each.
struct Costs {
    Floats costs;
    std::vector<long long> uploaded;  // bytes in each
};

Costs costs(const FakeGpu& gpu, const std::vector<int>& announced) {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    const Network network(parse_cfg(kClassifier, "net.cfg"), "", options);
    Trainer trainer(network, FakeGpu::backend());
    const Floats truths = truths_of(network.graph());
    std::vector<Floats> images(4, images_of(network.graph()));
    for (int i = 0; i < 4; ++i)
        for (float& value : images[i]) value = value * static_cast<float>(i + 1) / 4;
    Costs found;
    for (int i = 0; i < 4; ++i) {
        const long long before = gpu.count("uploaded");
        if (announced[i] >= 0) trainer.announce(images[announced[i]].data(), kImages);
        found.costs.push_back(trainer.accumulate(images[i].data(), kImages, truths.data(), truths.size() / kImages));
        found.uploaded.push_back(gpu.count("uploaded") - before);
    }
    return found;
}

}  // namespace

TEST_CASE("cuda training: images that were announced travel while the mini-batch before them is computed") {
    const FakeGpu gpu;
    const Costs plain = costs(gpu, {-1, -1, -1, -1});
    CHECK(plain.costs[0] != plain.costs[1]);
    constexpr long long kInput = kImages * 3 * 8 * 8 * sizeof(float);
    const long long other = plain.uploaded[1] - kInput;
    for (const bool eager : {false, true}) {
        CAPTURE(eager);
        gpu.set("eager_copies", eager);
        const Costs ahead = costs(gpu, {1, 2, 3, -1});
        CHECK(same_bits(ahead.costs, plain.costs));
        CHECK(ahead.uploaded[1] == kInput + other);  // of the next
        CHECK(ahead.uploaded[3] == other);
        // Others than those that come, and none for a while.
        const Costs wrong = costs(gpu, {3, 0, -1, 1});
        CHECK(same_bits(wrong.costs, plain.costs));
        CHECK(wrong.uploaded[1] == 2 * kInput + other);
    }
}

TEST_CASE("cuda training: images that were announced for another size of the input are forgotten") {
    const FakeGpu gpu;
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    const Network network(parse_cfg(kTiny, "net.cfg"), "", options);
    std::vector<long long> uploaded;
    for (const bool announced : {false, true}) {
        Trainer trainer(network, FakeGpu::backend());
        const Floats small = images_of(trainer.graph()), truths = truths_of(trainer.graph());
        if (announced) trainer.announce(small.data(), kImages);
        trainer.resize(32, 32);
        const long long before = gpu.count("uploaded");
        trainer.accumulate(images_of(trainer.graph()).data(), kImages, truths.data(), truths.size() / kImages);
        uploaded.push_back(gpu.count("uploaded") - before);
    }
    CHECK(uploaded[1] == uploaded[0]);
}
