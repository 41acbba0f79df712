// SPDX-License-Identifier: Apache-2.0
// What clones of a network see, in their own threads, while it is trained. ThreadSanitizer runs these tests too
// (cmake --preset tsan).
#include <atomic>
#include <future>

#include "hidden_backend.hpp"
#include "random.hpp"
#include "support.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// Two branches whose parameters begin equal and get equal gradients: their outputs, side by side in the last layer, are
// equal unless a pass takes one branch from before an update and the other from after it.
const std::string kBranch =
    "[convolutional]\nfilters=64\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=64\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n";
const std::string kTwins =
    "[net]\nwidth=2\nheight=2\nchannels=64\nlearning_rate=0.01\nmax_batches=100000\n"
    "[maxpool]\nsize=1\nstride=1\n" +
    kBranch + "[route]\nlayers=0\n" + kBranch + "[route]\nlayers=2,5\n[cost]\n";
constexpr int kFirst[] = {1, 2}, kSecond[] = {4, 5}, kJoined = 6;
const Floats kTruths(128 * 4, 1), kImage = [] {
    Floats image(64 * 4);
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = uniform(1, i);
    return image;
}();

std::unique_ptr<Network> twins(const std::string& backend, int threads) {
    NetworkOptions options;
    options.backend = backend;
    options.precision = Precision::f32;
    options.threads = threads;
    auto network = std::make_unique<Network>(parse_cfg(kTwins, "net.cfg"), "", options);
    std::vector<NodeParameters>& nodes = network->shared_parameters()->nodes;
    for (int i = 0; i < 2; ++i) nodes[kSecond[i]] = nodes[kFirst[i]];
    return network;
}

Floats joined(Network& network) {
    network.predict(kImage.data(), 1, {kJoined});
    Floats values(network.graph().nodes[kJoined].out.size());
    network.read(kJoined, values.data(), values.size());
    return values;
}

bool halves_equal(const Floats& values) {
    return std::equal(values.begin(), values.begin() + values.size() / 2, values.begin() + values.size() / 2);
}

// Trains `network` in a thread of its own and calls use() in this one, both at least `rounds` times.
template <class Use>
void while_training(const Network& network, int rounds, const Use& use,
                    std::shared_ptr<const Backend> backend = nullptr) {
    std::atomic<bool> used{false};
    std::future<void> training = std::async(std::launch::async, [&] {
        Trainer trainer(network, backend);
        for (int i = 0; i < rounds || !used; ++i) {
            trainer.accumulate(kImage.data(), 1, kTruths.data(), kTruths.size());
            trainer.update();
        }
    });
    try {
        using namespace std::chrono_literals;
        for (int i = 0; i < rounds || training.wait_for(0s) != std::future_status::ready; ++i) {
            used = i >= rounds;
            use();
        }
    } catch (...) {
        used = true;  // the thread ends before the error is reported
        throw;
    }
    training.get();
}

}  // namespace

TEST_CASE("threads: a pass of a clone has the weights of one moment while the network trains") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        const auto network = twins(backend->name() == "hidden" ? "ref" : backend->name(), 2);
        Network clone(*network);
        const Floats first = joined(clone);
        CHECK(halves_equal(first));
        int half_updated = 0, moved = 0;
        const auto use = [&] {
            const Floats now = joined(clone);
            half_updated += !halves_equal(now);
            moved += now != first;
        };
        while_training(*network, 20, use, backend);
        CHECK(half_updated == 0);
        CHECK(moved > 0);
        CHECK(joined(clone) == joined(*network));
    });
}

TEST_CASE("threads: arrays and weights files of a clone are of one moment while the network trains") {
    const TemporaryFolder folder;
    const auto network = twins("ref", 1);
    while_training(*network, 5, [&] {
        Network clone(*network);
        {
            const LockedParameters current = clone.parameters();
            for (int i = 0; i < 2; ++i)
                for (const Role role : kRoles)
                    CHECK(current->nodes[kFirst[i]].array(role) == current->nodes[kSecond[i]].array(role));
        }
        const std::string file = folder.file("now.weights");
        write_weights(file, clone.graph(), *clone.parameters(), -1);
        NetworkOptions options = network->options();
        CHECK(halves_equal(joined(*std::make_unique<Network>(parse_cfg(kTwins, "net.cfg"), file, options))));
    });
}

TEST_CASE("threads: a clone that is resized, batched and profiled while the network trains") {
    for (const std::string& backend : backend_names()) {
        CAPTURE(backend);
        const auto network = twins(backend, 1);
        Network clone(*network);
        int size = 2;
        while_training(*network, 5, [&] {
            size = size == 2 ? 4 : 2;
            clone.resize(size, size);
            clone.set_batch(size / 2);
            clone.profile();
        });
        clone.resize(2, 2);
        clone.set_batch(1);
        CHECK(joined(clone) == joined(*network));
    }
}

TEST_CASE("threads: only one trainer at a time moves the weights that clones share") {
    const auto network = twins("ref", 1);
    const Network clone(*network);
    {
        const Trainer trainer(*network);
        CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { Trainer{clone}; }),
                       "another trainer trains the weights of this network already; free it first");
    }
    CHECK(error_of(Status::invalid_argument, [&] { Trainer{clone}; }).empty());
}
