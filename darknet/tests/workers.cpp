// SPDX-License-Identifier: Apache-2.0
// Trainers that share the mini-batches of every update, against one that computes them all.
#include <memory>

#include "hidden_backend.hpp"
#include "random.hpp"
#include "support.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kMini = 2, kParts = 4, kInput = 2 * 36, kOutput = 3 * 36, kLayers = 3;

std::string cfg(const std::string& net_keys = "") {
    return "[net]\nbatch=8\nsubdivisions=4\nwidth=6\nheight=6\nchannels=2\nlearning_rate=0.05\nmomentum=0.9\n" +
           net_keys +
           "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
           "[convolutional]\nfilters=5\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
           "[convolutional]\nfilters=3\nactivation=linear\n[dropout]\nprobability=0.3\n[cost]\n";
}

struct Worker {
    Worker(const std::shared_ptr<const Backend>& backend, const std::string& text)
        : network(parse_cfg(text, "net.cfg"), "", options()), trainer(network, backend) {}

    static NetworkOptions options() {
        NetworkOptions all;
        all.backend = "ref";
        all.precision = Precision::f32;
        all.threads = 1;
        return all;
    }

    void accumulate(std::int64_t iteration, int part) {
        Floats images(kMini * kInput), truths(kMini * kOutput, 0.5f);
        for (std::size_t i = 0; i < images.size(); ++i) images[i] = uniform(mix(iteration * kParts + part), i);
        trainer.accumulate(images.data(), kMini, truths.data(), kOutput);
    }

    Floats get(StateKind kind, int layer, Role role) const {
        Floats values(trainer.count(kind, layer, role));
        trainer.get(kind, layer, role, values.data(), values.size());
        return values;
    }

    Network network;
    Trainer trainer;
};

// What the processes of a training exchange.
void exchange(std::vector<std::unique_ptr<Worker>>& workers) {
    Floats shares;
    for (const auto& worker : workers)
        shares.insert(shares.end(), worker->trainer.shares().begin(), worker->trainer.shares().end());
    for (const auto& worker : workers) worker->trainer.move_rolling(shares.data(), shares.size());
    for (int layer = 0; layer < kLayers; ++layer)
        for (const Role role : kTrainedRoles) {
            Floats sum = workers[0]->get(StateKind::gradients, layer, role);
            for (std::size_t w = 1; w < workers.size(); ++w) {
                const Floats other = workers[w]->get(StateKind::gradients, layer, role);
                for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
            }
            for (const auto& worker : workers)
                if (!sum.empty()) worker->trainer.set(StateKind::gradients, layer, role, sum.data(), sum.size());
        }
}

}  // namespace

TEST_CASE("workers: together they train as one") {
    for (const char* solver : {"", "adam=1\n"})
        on_every_backend([&](const std::shared_ptr<const Backend>& backend) {
            Worker alone(backend, cfg(solver));
            std::vector<std::unique_ptr<Worker>> workers;
            for (int w = 0; w < 2; ++w) {
                workers.push_back(std::make_unique<Worker>(backend, cfg(solver)));
                workers[w]->trainer.set_worker(w, 2);
            }
            for (std::int64_t iteration = 0; iteration < 3; ++iteration) {
                for (int part = 0; part < kParts; ++part) {
                    alone.accumulate(iteration, part);
                    workers[part % 2]->accumulate(iteration, part);
                }
                exchange(workers);
                alone.trainer.update();
                for (const auto& worker : workers) worker->trainer.update();
                for (int layer = 0; layer < kLayers; ++layer)
                    for (const Role role : kRoles) {
                        CAPTURE(layer);
                        CAPTURE(role_name(role));
                        const Floats one = alone.get(StateKind::parameters, layer, role);
                        const Floats first = workers[0]->get(StateKind::parameters, layer, role);
                        CHECK(first == workers[1]->get(StateKind::parameters, layer, role));
                        for (std::size_t i = 0; i < one.size(); ++i)
                            CHECK(first[i] == doctest::Approx(one[i]).epsilon(1e-5));
                        // In the first iteration nothing but the order of the moves could make a difference.
                        if (iteration == 0 && (role == Role::means || role == Role::variances)) CHECK(first == one);
                    }
            }
            for (const auto& worker : workers) {
                CHECK(worker->trainer.seen() == alone.trainer.seen());
                CHECK(worker->trainer.iteration() == 3);
            }
            CHECK(workers[1]->get(StateKind::gradients, 0, Role::weights) == Floats(4 * 2 * 9));
        });
}

TEST_CASE("workers: what they must do in front of an update is checked") {
    Worker worker(make_backend("ref"), cfg());
    const auto wrong = [&](auto action) { return error_of(Status::invalid_argument, action); };
    CHECK_CONTAINS(wrong([&] { worker.trainer.set_worker(2, 2); }), "found worker 2 of 2");
    CHECK_CONTAINS(wrong([&] { worker.trainer.move_rolling(nullptr, 0); }), "has no other workers");
    worker.trainer.set_worker(1, 2);
    worker.accumulate(0, 1);
    CHECK(worker.trainer.pending() == 2 * kMini);
    CHECK(worker.trainer.seen() == 2 * kMini);
    CHECK_CONTAINS(wrong([&] { worker.trainer.set_worker(0, 1); }), "images are accumulated");
    CHECK_CONTAINS(wrong([&] { worker.trainer.update(); }), "shares of the other workers were not given");
    const Floats shares = worker.trainer.shares();
    CHECK(shares.size() == 2 * (4 + 5));
    CHECK_CONTAINS(wrong([&] { worker.trainer.move_rolling(shares.data(), shares.size()); }),
                   "found 18 values, expected 18 of each of 2 workers");
}

TEST_CASE("workers: layers that share batch norm are refused") {
    Worker worker(make_backend("ref"),
                  "[net]\nbatch=2\nwidth=6\nheight=6\nchannels=2\n"
                  "[convolutional]\nfilters=2\nsize=1\nbatch_normalize=1\nactivation=leaky\n"
                  "[convolutional]\nfilters=2\nsize=1\nbatch_normalize=1\nactivation=leaky\nshare_index=0\n[cost]\n");
    CHECK_CONTAINS(error_of(Status::cfg, [&] { worker.trainer.set_worker(0, 2); }), "share_index");
    worker.trainer.set_worker(0, 1);
}
