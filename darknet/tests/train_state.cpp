// SPDX-License-Identifier: Apache-2.0
// The state of a training on every backend, one that hides its memory included: updates against the scalar loops that
// define them, bit by bit; resuming, freezing, moving averages, weights files.
#include <cmath>

#include "backends/host/parallel.hpp"
#include "hidden_backend.hpp"
#include "random.hpp"
#include "support.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr StateKind kKinds[] = {StateKind::parameters, StateKind::gradients, StateKind::adam_m, StateKind::adam_v,
                                StateKind::ema};
constexpr int kLayers = 3, kBatch = 2;
constexpr float kRate = 0.05f, kDecay = 0.01f, kMomentum = 0.9f, kClip = 0.3f;

std::string cfg(const std::string& net_keys, const std::string& middle_keys = "") {
    return "[net]\nbatch=2\nwidth=6\nheight=6\nchannels=2\nlearning_rate=0.05\ndecay=0.01\nmomentum=0.9\n" + net_keys +
           "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
           "[convolutional]\nfilters=5\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\nclip=0.3\n" +
           middle_keys + "[convolutional]\nfilters=3\nactivation=linear\n[dropout]\nprobability=0.3\n[cost]\n";
}

Floats random_floats(std::size_t count, std::uint64_t stream) {
    Floats values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = uniform(mix(stream), i);
    return values;
}

// A network, whose own backend is ref, and its trainer on another.
struct Run {
    Run(const std::string& text, const std::shared_ptr<const Backend>& backend, int threads = 2)
        : network(parse_cfg(text, "net.cfg"), "", options(threads)), trainer(network, backend) {}

    static NetworkOptions options(int threads = 2) {
        NetworkOptions all;
        all.backend = "ref";
        all.precision = Precision::f32;
        all.threads = threads;
        return all;
    }

    void accumulate() {
        const Floats images = random_floats(kBatch * 2 * 36, trainer.seen()), truths(kBatch * 3 * 36, 0.5f);
        trainer.accumulate(images.data(), kBatch, truths.data(), 3 * 36);
    }
    void train(int updates) {
        for (int i = 0; i < updates; ++i) {
            accumulate();
            trainer.update();
        }
    }

    Floats get(StateKind kind, int layer, Role role) const {
        Floats values(trainer.count(kind, layer, role));
        trainer.get(kind, layer, role, values.data(), values.size());
        return values;
    }
    void set(StateKind kind, int layer, Role role, const Floats& values) {
        trainer.set(kind, layer, role, values.data(), values.size());
    }

    Network network;
    Trainer trainer;
};

using State = std::vector<Floats>;

template <class Visit>
void for_arrays(const Visit& visit) {
    for (const StateKind kind : kKinds)
        for (int layer = 0; layer < kLayers; ++layer)
            for (const Role role : kRoles) visit(kind, layer, role);
}

State state_of(const Run& run) {
    State all;
    for_arrays([&](StateKind kind, int layer, Role role) { all.push_back(run.get(kind, layer, role)); });
    return all;
}

void set_state(Run& run, const State& state) {
    std::size_t at = 0;
    for_arrays([&](StateKind kind, int layer, Role role) {
        const Floats& values = state[at++];
        if (!values.empty()) run.set(kind, layer, role, values);
    });
}

// One array in front of an update, and what it is behind it by the scalar definition.
struct Array {
    Array(const Run& run, int layer, Role role)
        : w(run.get(StateKind::parameters, layer, role)),
          g(run.get(StateKind::gradients, layer, role)),
          m(run.get(StateKind::adam_m, layer, role)),
          v(run.get(StateKind::adam_v, layer, role)),
          decays(role == Role::weights),
          clips(role == Role::weights && layer == 1) {}

    void sgd() {
        for (std::size_t i = 0; i < w.size(); ++i) {
            const float d = decays ? g[i] - kDecay * kBatch * w[i] : g[i];
            w[i] += kRate / kBatch * d;
            g[i] = kMomentum * d;
        }
        clip();
    }

    void adam(std::int64_t iteration) {
        const double t = static_cast<double>(iteration);
        const auto m_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(0.9f), t)));
        const auto v_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(0.999f), t)));
        for (std::size_t i = 0; i < w.size(); ++i) {
            const float d = g[i] - kDecay * kBatch * w[i];
            m[i] = 0.9f * m[i] + (1 - 0.9f) * d;
            v[i] = 0.999f * v[i] + (1 - 0.999f) * d * d;
            w[i] += kRate * m[i] * m_scale / (std::sqrt(v[i] * v_scale) + 1e-6f);
            g[i] = 0;
        }
        clip();
    }

    void clip() {
        if (clips)
            for (float& value : w) value = std::min(std::max(value, -kClip), kClip);
    }

    friend bool operator==(const Array& a, const Array& b) {
        return a.w == b.w && a.g == b.g && a.m == b.m && a.v == b.v;
    }

    Floats w, g, m, v;
    bool decays, clips;
};

// Every array that an update moves is what define() makes of it.
template <class Define>
void check_updates(Run& run, const Define& define) {
    for (int iteration = 1; iteration <= 4; ++iteration) {
        run.accumulate();
        std::vector<Array> expected;
        for (int layer = 0; layer < kLayers; ++layer)
            for (const Role role : kTrainedRoles) expected.emplace_back(run, layer, role);
        run.trainer.update();
        std::size_t at = 0;
        for (int layer = 0; layer < kLayers; ++layer)
            for (const Role role : kTrainedRoles) {
                Array& array = expected[at++];
                define(array, iteration);
                CAPTURE(layer);
                CAPTURE(role_name(role));
                CHECK((array == Array(run, layer, role)));
            }
    }
}

}  // namespace

TEST_CASE("update: SGD has the bits of its scalar definition") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Run run(cfg(""), backend);
        check_updates(run, [](Array& array, std::int64_t) { array.sgd(); });
    });
}

TEST_CASE("update: Adam has the bits of its scalar definition") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Run run(cfg("adam=1\n"), backend);
        check_updates(run, [](Array& array, std::int64_t iteration) { array.adam(iteration); });
    });
}

TEST_CASE("update: any number of threads gives the same bits") {
    for (const char* solver : {"", "adam=1\n"}) {
        // Enough values for parts on three threads; the average exists from iteration 2 on.
        const std::string text = "[net]\nbatch=2\nwidth=6\nheight=6\nchannels=2\nema_alpha=0.9\nmax_batches=4\n" +
                                 std::string(solver) +
                                 "[connected]\noutput=12000\nactivation=leaky\n"
                                 "[connected]\noutput=20\nactivation=leaky\n"
                                 "[connected]\noutput=108\nactivation=linear\n[cost]\n";
        Run one(text, make_backend("ref"), 1), three(text, make_backend("ref"), 3);
        one.train(3);
        three.train(3);
        CHECK(one.get(StateKind::parameters, 0, Role::weights).size() > 3 * kLeastPart);
        CHECK(state_of(one) == state_of(three));
    }
}

TEST_CASE("state: a training that is continued from its copy has the bits of one that was not interrupted") {
    for (const char* solver : {"", "adam=1\n"})
        on_every_backend([&](const std::shared_ptr<const Backend>& backend) {
            // The average exists from iteration 2 on.
            const std::string text = cfg(std::string(solver) + "ema_alpha=0.9\nmax_batches=4\n");
            Run first(text, backend);
            first.train(3);
            Run second(text, backend);
            second.train(1);  // what it had is replaced
            set_state(second, state_of(first));
            second.trainer.set_counters(first.trainer.iteration(), first.trainer.seen());
            CHECK(state_of(second) == state_of(first));
            first.train(3);
            second.train(3);
            CHECK(state_of(second) == state_of(first));
            CHECK(second.trainer.iteration() == 6);
            CHECK(second.trainer.seen() == 12);
        });
}

TEST_CASE("state: where the numbers lie does not change them") {
    for (const char* solver : {"", "adam=1\n"}) {
        const std::string text = cfg(std::string(solver) + "ema_alpha=0.9\nmax_batches=4\n");
        Run plain(text, make_backend("ref")), hidden(text, std::make_shared<HiddenBackend>());
        plain.train(5);
        hidden.train(5);
        CHECK(state_of(plain) == state_of(hidden));
    }
}

TEST_CASE("state: the moving average begins as the parameters, follows them, and becomes them") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Run run(cfg("ema_alpha=0.75\nmax_batches=2004\n"), backend);
        const auto weights = [&] { return run.get(StateKind::parameters, 1, Role::weights); };
        const auto average = [&] { return run.get(StateKind::ema, 1, Role::weights); };
        run.trainer.set_counters(1000, 2000);
        run.train(1);
        CHECK(average().empty());
        run.train(1);  // 1002, half of the run
        CHECK(average() == weights());
        Floats expected = average();
        run.train(1);
        const Floats now = weights();
        for (std::size_t i = 0; i < now.size(); ++i) expected[i] = 0.75f * expected[i] + 0.25f * now[i];
        CHECK(average() == expected);
        CHECK(now != expected);
        run.train(1);  // 1004, a thousand before the end
        CHECK(weights() == expected);
        run.train(1);
        CHECK(average() == expected);
        CHECK(weights() != expected);
    });
}

TEST_CASE("state: an average that is set begins it, with zeros in the other arrays") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Run run(cfg(""), backend);
        CHECK(run.get(StateKind::ema, 2, Role::biases).empty());
        run.set(StateKind::ema, 2, Role::biases, {1, 2, 3});
        CHECK(run.get(StateKind::ema, 2, Role::biases) == Floats{1, 2, 3});
        CHECK(run.get(StateKind::ema, 0, Role::biases) == Floats(4));
    });
}

TEST_CASE("state: frozen layers stay as they are, and what they gathered is dropped") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        const auto moved = [&](const std::string& key, int layer, Role role) {
            Run run(cfg("", key), backend);
            const Floats before = run.get(StateKind::parameters, layer, role);
            run.train(2);
            return run.get(StateKind::parameters, layer, role) != before;
        };
        for (const int layer : {0, 1, 2}) CHECK(moved("", layer, Role::weights));
        for (const char* key : {"stopbackward=1\n", "train_only_bn=1\n"}) {
            CAPTURE(key);
            for (const int layer : {0, 1}) CHECK_FALSE(moved(key, layer, Role::weights));
            CHECK(moved(key, 2, Role::weights));
        }
        CHECK(moved("train_only_bn=1\n", 0, Role::means));
        CHECK_FALSE(moved("stopbackward=1\n", 0, Role::means));
        CHECK_FALSE(moved("dont_update=2\n", 1, Role::weights));
        CHECK(moved("dont_update=1\n", 1, Role::weights));
        CHECK(moved("dont_update=2\n", 0, Role::weights));
        Run held(cfg("", "dont_update=9\n"), backend);
        held.train(1);
        CHECK(held.get(StateKind::gradients, 1, Role::weights) == Floats(5 * 4 * 9));
    });
}

TEST_CASE("state: the first array that is not finite is named") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Run run(cfg(""), backend);
        run.train(1);
        CHECK(run.trainer.first_non_finite().empty());
        const Floats gradient = run.get(StateKind::gradients, 1, Role::scales);
        Floats broken = gradient;
        broken[2] = std::numeric_limits<float>::infinity();
        run.set(StateKind::gradients, 1, Role::scales, broken);
        CHECK_CONTAINS(run.trainer.first_non_finite(), "its gradient of scales is not finite (layer 1)");
        run.set(StateKind::gradients, 1, Role::scales, gradient);
        Floats variances = run.get(StateKind::parameters, 0, Role::variances);
        variances.back() = std::numeric_limits<float>::quiet_NaN();
        run.set(StateKind::parameters, 0, Role::variances, variances);
        CHECK_CONTAINS(run.trainer.first_non_finite(), "its variances are not finite (layer 0)");
    });
}

TEST_CASE("state: predictions, arrays and weights files of the network follow the training") {
    const TemporaryFolder folder;
    on_every_backend([&](const std::shared_ptr<const Backend>& backend) {
        const std::string text = cfg(""), file = folder.file("now.weights");
        const auto output = [](Network& network) {
            const Floats image = random_floats(2 * 36, 77);
            network.predict(image.data(), 1, {2});
            Floats values(3 * 36);
            network.read(2, values.data(), values.size());
            return values;
        };
        auto run = std::make_unique<Run>(text, backend);
        Network network(run->network);
        Floats last = output(network);
        const auto check_file = [&] {
            const Floats now = output(network);
            CHECK(now != last);
            last = now;
            write_weights(file, network.graph(), *network.parameters(), -1);
            Network loaded(parse_cfg(text, "net.cfg"), file, Run::options());
            CHECK(output(loaded) == now);
            CHECK(loaded.parameters()->seen == network.parameters()->seen);
        };
        for (int i = 0; i < 3; ++i) {
            run->train(1);
            check_file();
            for (const Role role : kRoles)
                CHECK(network.parameters()->nodes[1].array(role) == run->get(StateKind::parameters, 1, role));
        }
        run->accumulate();  // the rolling statistics alone
        check_file();
        run->train(1);
        run.reset();  // the training ends, and leaves its numbers on the host
        check_file();
    });
}
