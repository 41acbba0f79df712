// SPDX-License-Identifier: Apache-2.0
// Memory: what a backend says that plans take, against plans that it made; what the system says is free.
#include "backends/host/memory.hpp"

#include "backends/registry.hpp"
#include "support.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kNet =
    "[net]\nwidth=64\nheight=64\nchannels=3\n"
    "[convolutional]\nfilters=32\nsize=3\npad=1\nstride=2\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=64\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=64\nsize=3\npad=1\nactivation=mish\n"
    "[shortcut]\nfrom=-2\nactivation=linear\n[upsample]\nstride=2\n[route]\nlayers=-1,1\n"
    "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1,2\nnum=3\nanchors=4,4, 8,8, 16,16\nclasses=2\n";

std::size_t parameters_of(const Graph& graph) {
    std::size_t count = 0;
    for (const Node& node : graph.nodes) count += node.parameter_count();
    return count;
}

}  // namespace

TEST_CASE("memory: a plan of inference takes what its backend said") {
    const Graph graph = graph_of(kNet);
    const std::size_t weights = parameters_of(graph) * sizeof(float);
    for (const std::string& name : backend_names())
        for (const PrecisionChoice& choice : make_backend(name)->precisions())
            for (const int batch : {1, 4}) {
                CAPTURE(name);
                CAPTURE(batch);
                PlanOptions options;
                options.batch = batch;
                options.precision = choice.precision;
                const auto backend = make_backend(name);
                const double told = static_cast<double>(backend->plan_bytes(graph, options));
                const double activations = static_cast<double>(
                    backend->compile(graph, initial_parameters(graph, 1), options)->activation_bytes());
                CHECK(told >= activations * 0.8);  // scratch is not known before
                CHECK(told <= activations + 2.0 * static_cast<double>(weights));
            }
}

TEST_CASE("memory: a plan of training takes what its backend said") {
    const Graph graph = graph_of(kNet);
    for (const std::string& name : backend_names()) {
        CAPTURE(name);
        const auto backend = make_backend(name);
        const auto parameters = initial_parameters(graph, 1);
        const auto state = backend->train_state(graph, parameters, 1);
        const Training training{state.get(), 0}, described{nullptr, 0};
        PlanOptions options;
        options.batch = 4;
        options.training = &training;
        const std::size_t activations = backend->compile(graph, parameters, options)->activation_bytes();
        options.training = &described;
        const std::size_t told = backend->plan_bytes(graph, options);
        const std::size_t weights = parameters_of(graph) * sizeof(float);
        CHECK(told >= activations / 10 * 8 + weights);  // the gradients of the weights are not activations
        CHECK(told <= 2 * activations + 8 * weights);
        // Twice the images: twice the activations, the same weights.
        options.batch = 8;
        const std::size_t twice = backend->plan_bytes(graph, options);
        CHECK(twice > told);
        CHECK(twice < 2 * told);
    }
}

TEST_CASE("memory: frozen layers have no deltas") {
    const Graph graph = graph_of(kNet);
    for (const std::string& name : backend_names()) {
        const Training all{nullptr, 0}, heads{nullptr, 7};
        PlanOptions options;
        options.training = &all;
        const std::size_t whole = make_backend(name)->plan_bytes(graph, options);
        options.training = &heads;
        CHECK(make_backend(name)->plan_bytes(graph, options) < whole);
    }
}

TEST_CASE("memory: Adam and a moving average are counted") {
    const Graph sgd = graph_of(kNet);
    Graph adam = sgd;
    adam.net.adam = true;
    adam.net.ema_alpha = 0.9f;
    std::size_t trained = 0;
    for (const Node& node : sgd.nodes)
        for (const ArraySpec& array : node.arrays)
            if (array.role != Role::means && array.role != Role::variances) trained += array.count;
    const Training training{nullptr, 0};
    PlanOptions options;
    options.training = &training;
    for (const std::string& name : backend_names()) {
        const auto backend = make_backend(name);
        CHECK(backend->plan_bytes(adam, options) - backend->plan_bytes(sgd, options) == 3 * trained * sizeof(float));
    }
}

TEST_CASE("memory: the limit of a container counts where it is less than what the machine has free") {
    const TemporaryFolder root;
    CHECK(free_host_bytes(root.path().string()) == 0);  // not reported
    std::filesystem::create_directories(root.path() / "proc");
    root.write("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n");
    const std::size_t machine = std::size_t{8000000} * 1024;
    CHECK(free_host_bytes(root.path().string()) == machine);
    for (const bool second : {true, false}) {
        CAPTURE(second);
        const std::string folder = second ? "sys/fs/cgroup/" : "sys/fs/cgroup/memory/";
        std::filesystem::create_directories(root.path() / folder);
        root.write(folder + (second ? "memory.current" : "memory.usage_in_bytes"), "3000\n");
        root.write(folder + "memory.stat", "anon 2000\ninactive_file 700\ntotal_inactive_file 700\n");
        const std::string limit = folder + (second ? "memory.max" : "memory.limit_in_bytes");
        root.write(limit, "5000\n");
        CHECK(free_host_bytes(root.path().string()) == 2700);  // files in its cache can be dropped
        root.write(limit, second ? "max\n" : "9223372036854771712\n");
        CHECK(free_host_bytes(root.path().string()) == machine);
    }
}
