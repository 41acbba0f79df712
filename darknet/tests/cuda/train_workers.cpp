// SPDX-License-Identifier: Apache-2.0
// Trainers on two GPUs of the fake driver, each in a thread, which sum their gradients through the fake NCCL.
#include <cmath>
#include <future>
#include <memory>

#include "../support.hpp"
#include "backends/registry.hpp"
#include "fake_gpu.hpp"
#include "random.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kMini = 2, kInput = 2 * 36, kOutput = 3 * 36, kLayers = 3;
constexpr double kSoon = 0.05, kPatient = 60;  // seconds
constexpr char kCfg[] =
    "[net]\nbatch=8\nsubdivisions=4\nwidth=6\nheight=6\nchannels=2\nlearning_rate=0.05\n"
    "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=3\nactivation=linear\n[cost]\n";

struct Worker {
    Worker(const std::shared_ptr<const Backend>& backend, int number, Precision precision = Precision::f32)
        : network(parse_cfg(kCfg, "net.cfg"), "", options()), trainer(network, backend, precision) {
        trainer.set_worker(number, 2);
    }
    static NetworkOptions options() {
        NetworkOptions all;
        all.backend = "ref";
        all.threads = 1;
        return all;
    }
    void accumulate(std::uint64_t stream) {
        Floats images(kMini * kInput), truths(kMini * kOutput, 0.5f);
        for (std::size_t i = 0; i < images.size(); ++i) images[i] = uniform(mix(stream), i);
        trainer.accumulate(images.data(), kMini, truths.data(), kOutput);
    }
    Floats gradients() const {
        Floats all;
        for (int layer = 0; layer < kLayers; ++layer)
            for (const Role role : kTrainedRoles) {
                Floats values(trainer.count(StateKind::gradients, layer, role));
                trainer.get(StateKind::gradients, layer, role, values.data(), values.size());
                all.insert(all.end(), values.begin(), values.end());
            }
        return all;
    }

    Network network;
    Trainer trainer;
};

struct Pair {
    explicit Pair(Precision precision = Precision::f32)
        : first(cuda::make_backend(FakeGpu::libraries(), 0), 0, precision),
          second(cuda::make_backend(FakeGpu::libraries(), 1), 1, precision) {
        const WorkerGroupId id = first.trainer.group_id();
        together([&](Trainer& trainer) { trainer.join_group(id, kPatient); });
    }
    template <class Work>
    void together(const Work& work) {
        auto other = std::async(std::launch::async, [&] { work(second.trainer); });
        work(first.trainer);
        other.get();
    }
    void move_rolling() {
        Floats shares = first.trainer.shares();
        shares.insert(shares.end(), second.trainer.shares().begin(), second.trainer.shares().end());
        for (Worker* worker : {&first, &second}) worker->trainer.move_rolling(shares.data(), shares.size());
    }
    Worker first, second;
};

Floats sum(const Floats& a, const Floats& b) {
    Floats total(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) total[i] = a[i] + b[i];
    return total;
}

}  // namespace

TEST_CASE("cuda workers: the gradients of both become their sum, without a copy to the host") {
    const FakeGpu gpu;
    gpu.set("devices", 2);
    Pair pair;
    for (std::uint64_t iteration = 0; iteration < 2; ++iteration) {
        pair.first.accumulate(2 * iteration);
        pair.second.accumulate(2 * iteration + 1);
        const Floats expected = sum(pair.first.gradients(), pair.second.gradients());
        const long long before = gpu.count("downloaded");
        pair.together([](Trainer& trainer) { trainer.sum_gradients(kPatient); });
        CHECK(gpu.count("downloaded") == before);
        CHECK(pair.first.gradients() == expected);
        CHECK(pair.second.gradients() == expected);
        pair.move_rolling();
        pair.together([](Trainer& trainer) { trainer.update(); });
    }
    CHECK(gpu.count("all_reduces") == 4);
}

TEST_CASE("cuda workers: an overflow in float16 of one of them is skipped by both") {
    const FakeGpu gpu;
    gpu.set("devices", 2);
    Pair pair(Precision::f16);
    pair.first.accumulate(1);
    pair.second.accumulate(2);
    Floats infinite(pair.second.trainer.count(StateKind::gradients, 0, Role::weights), INFINITY);
    pair.second.trainer.set(StateKind::gradients, 0, Role::weights, infinite.data(), infinite.size());
    pair.together([](Trainer& trainer) { trainer.sum_gradients(kPatient); });
    pair.move_rolling();
    for (Worker* worker : {&pair.first, &pair.second}) {
        worker->trainer.update();
        CHECK(worker->trainer.has_skipped());
        CHECK(worker->trainer.loss_scale()->factor() == 16384);
    }
}

TEST_CASE("cuda workers: a worker that does not come is an error within the limit, and the group is over") {
    const FakeGpu gpu;
    gpu.set("devices", 2);
    Worker alone(FakeGpu::backend(), 0);
    const WorkerGroupId nobody_else = alone.trainer.group_id();
    CHECK_CONTAINS(error_of(Status::backend, [&] { alone.trainer.join_group(nobody_else, kSoon); }),
                   "ncclCommInitRankConfig did not end in time: another worker is silent");
    Pair pair;
    pair.first.accumulate(1);
    CHECK_CONTAINS(error_of(Status::backend, [&] { pair.first.trainer.sum_gradients(kSoon); }),
                   "ncclAllReduce did not end in time: another worker is silent");
    CHECK_CONTAINS(error_of(Status::backend, [&] { pair.first.trainer.sum_gradients(kSoon); }),
                   "the workers are not connected, since an earlier sum of gradients failed");
}

TEST_CASE("cuda workers: an error of the connection ends the wait") {
    const FakeGpu gpu;
    gpu.set("devices", 2);
    Pair pair;
    pair.first.accumulate(1);
    gpu.set("nccl_fail", 6);
    CHECK_CONTAINS(error_of(Status::backend, [&] { pair.first.trainer.sum_gradients(kPatient); }),
                   "ncclAllReduce failed: an error of the fake NCCL");
}

TEST_CASE("cuda workers: what a group needs is stated") {
    const FakeGpu gpu;
    Worker worker(FakeGpu::backend(), 0);
    CHECK(worker.trainer.why_no_group().empty());
    CHECK_CONTAINS(error_of(Status::backend,
                            [&] {
                                worker.accumulate(1);
                                worker.trainer.sum_gradients(kSoon);
                            }),
                   "the workers have not joined a group");
    worker.trainer.set_counters(0, 0);
    worker.trainer.set_worker(0, 1);
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { worker.trainer.join_group({}, kSoon); }),
                   "the trainer has no other workers");
    gpu.set("nccl", 2804);
    Worker old(FakeGpu::backend(), 0);
    CHECK_CONTAINS(old.trainer.why_no_group(), "found NCCL 2.8.4, expected 2.14 or newer; install pydarknet[cuda]");
    CHECK_CONTAINS(error_of(Status::backend, [&] { (void)old.trainer.group_id(); }), "found NCCL 2.8.4");
    Worker on_host(make_backend("ref"), 0);
    CHECK_CONTAINS(error_of(Status::backend, [&] { (void)on_host.trainer.group_id(); }),
                   "the backend leaves the sum of gradients to its caller");
}
