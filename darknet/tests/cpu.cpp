// SPDX-License-Identifier: Apache-2.0
// The cpu backend against ref, where its shortcuts are: strips, slices, fusing, packed weights, threads and forks.
#if defined(DN_HAVE_ONEDNN)
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <random>
#include <thread>

#include "backends/cpu/isa.hpp"
#include "ops/ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const Shape kInput{16, 40, 36};

std::string conv(int filters, int size, const std::string& activation, const std::string& more = "") {
    return text("[convolutional]\nbatch_normalize=1\npad=1\nfilters=", filters, "\nsize=", size,
                "\nactivation=", activation, "\n", more);
}

Floats random_floats(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    Floats values(count);
    for (float& value : values) value = uniform(random);
    return values;
}

// Random batch-norm and biases as well, so that a mistaken channel shows.
std::shared_ptr<Parameters> random_parameters(const Graph& graph) {
    auto parameters = initial_parameters(graph, 1);
    unsigned seed = 3;
    for (NodeParameters& node : parameters->nodes) {
        for (Floats* array : {&node.biases, &node.scales, &node.means, &node.variances}) {
            *array = random_floats(array->size(), ++seed);
            const float shift = array == &node.scales || array == &node.variances ? 1.5f : 0;
            for (float& value : *array) value += shift;
        }
    }
    return parameters;
}

struct Case {
    Graph graph;
    std::shared_ptr<Parameters> parameters;
    Floats x;
    int batch;
    explicit Case(const std::string& sections, Shape input = kInput, int images = 2)
        : graph(graph_of(sections, input)),
          parameters(random_parameters(graph)),
          x(random_floats(images * input.size(), 11)),
          batch(images) {}
};

std::unique_ptr<Plan> compile(const Backend& backend, const Case& net, const PlanOptions& changes) {
    PlanOptions options = changes;
    options.batch = net.batch;
    return backend.compile(net.graph, net.parameters, options);
}

Floats outputs(Plan& plan, const Case& net, int node) {
    std::copy(net.x.begin(), net.x.end(), plan.input());
    plan.forward();
    Floats y(net.batch * net.graph.nodes[node].out.size());
    plan.read(node, y.data());
    return y;
}

float largest(const Floats& values) {
    float found = 0;
    for (float value : values) found = std::max(found, std::abs(value));
    return found;
}

void check_equal(const Floats& found, const Floats& expected, float tolerance) {
    REQUIRE(found.size() == expected.size());
    const float limit = tolerance * largest(expected);
    float worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(found[i] - expected[i]));
    CHECK(worst <= limit);
}

// The last layer alone, and then every layer of one plan, equal those of ref.
void check_against_ref(const Case& net, Precision precision = Precision::f32, float tolerance = 1e-4f) {
    const int last = static_cast<int>(net.graph.nodes.size()) - 1;
    PlanOptions options;
    options.threads = 2;
    for (int node = 0; node <= last; ++node) options.wanted.push_back(node);
    const auto cpu = make_backend("cpu"), ref = make_backend("ref");
    PlanOptions plain = options;
    const auto expected = compile(*ref, net, plain);
    outputs(*expected, net, last);
    options.precision = precision;
    const auto all = compile(*cpu, net, options);
    outputs(*all, net, last);
    for (int node = 0; node <= last; ++node) {
        CAPTURE(node);
        Floats a(net.batch * net.graph.nodes[node].out.size()), b(a.size());
        all->read(node, a.data());
        expected->read(node, b.data());
        check_equal(a, b, tolerance);
    }
    options.wanted = {last};
    for (int threads : {1, 2, 3}) {  // whole images on each thread, or all threads on each layer
        options.threads = threads;
        check_equal(outputs(*compile(*cpu, net, options), net, last), outputs(*expected, net, last), tolerance);
    }
}

std::string bottleneck(int wide, int narrow, const std::string& activation, int stride = 1) {
    return conv(wide, 1, activation) + conv(wide, 3, activation, text("groups=", wide, "\nstride=", stride, "\n")) +
           conv(narrow, 1, "linear");
}

const std::string kBlock = conv(16, 1, "mish") + conv(16, 3, "mish") + "[shortcut]\nfrom=-3\nactivation=linear\n";
const std::string kCsp = conv(32, 3, "mish") + conv(16, 1, "mish") + "[route]\nlayers=-2\n" + conv(16, 1, "mish") +
                         kBlock + "[route]\nlayers=-1,-6\n" + conv(24, 1, "mish");

}  // namespace

TEST_CASE("cpu: every activation, behind convolutions with and without a fused shortcut") {
    for (const char* activation : {"linear",
                                   "logistic",
                                   "loggy",
                                   "relu",
                                   "relu6",
                                   "elu",
                                   "selu",
                                   "gelu",
                                   "relie",
                                   "ramp",
                                   "leaky",
                                   "tanh",
                                   "plse",
                                   "hardtan",
                                   "lhtan",
                                   "swish",
                                   "mish",
                                   "hard_mish",
                                   "normalize_channels",
                                   "normalize_channels_softmax",
                                   "normalize_channels_softmax_maxval"}) {
        CAPTURE(activation);
        check_against_ref(Case(conv(24, 3, activation)));
        check_against_ref(Case(conv(16, 3, activation) + "[shortcut]\nfrom=0\n", {16, 9, 11}));
        check_against_ref(Case(conv(16, 1, "linear") + conv(16, 3, activation) + conv(16, 1, activation) +
                               "[shortcut]\nfrom=-3\nactivation=leaky\n"));
    }
}

TEST_CASE("cpu: strips with strides, dilation, large windows and odd channels meet without a seam") {
    const Shape tall{3, 150, 64};  // several strips
    check_against_ref(Case(conv(33, 3, "mish"), tall, 1));
    check_against_ref(Case(conv(48, 3, "mish", "stride=2\n"), tall, 1));
    check_against_ref(Case(conv(40, 5, "swish", "stride_x=2\nstride_y=3\n"), tall, 1));
    check_against_ref(Case(conv(64, 3, "mish", "dilation=4\n"), tall, 1));
    check_against_ref(Case(conv(64, 7, "logistic", "stride=2\n"), tall, 2));
}

TEST_CASE("cpu: groups and depthwise convolutions") {
    check_against_ref(Case(conv(16, 3, "leaky", "groups=16\n")));
    check_against_ref(Case(conv(32, 3, "mish", "groups=4\n")));
    check_against_ref(Case(conv(16, 5, "swish", "groups=16\nstride=2\n")));
    check_against_ref(Case(conv(48, 3, "leaky", "groups=2\n")));
}

TEST_CASE("cpu: bottlenecks, whose wide tensors are never whole") {
    for (int stride : {1, 2})
        for (const Shape& input : {kInput, Shape{6, 61, 37}, Shape{8, 13, 13}, Shape{4, 24, 2}, Shape{2, 60, 1}}) {
            CAPTURE(stride);
            CAPTURE(input.w);
            check_against_ref(Case(bottleneck(48, 24, "leaky", stride), input));
            check_against_ref(Case(bottleneck(112, 8, "relu", stride), input));
            check_against_ref(Case(bottleneck(16, 33, "linear", stride), input, 1));
        }
    check_against_ref(Case(conv(16, 1, "leaky") + bottleneck(64, 16, "leaky") +
                           "[dropout]\n[shortcut]\nfrom=-5\nactivation=leaky\n" + bottleneck(272, 16, "leaky") +
                           "[shortcut]\nfrom=-4\n[route]\nlayers=-1,-5\n" + bottleneck(32, 8, "leaky", 2)));
    check_against_ref(Case(bottleneck(40, 16, "leaky") + bottleneck(64, 16, "mish")));  // not fused
}

TEST_CASE("cpu: convolutions write into routes and read slices of them") {
    check_against_ref(Case(kCsp));
    check_against_ref(Case(conv(32, 3, "mish") + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(16, 3, "mish") +
                           "[route]\nlayers=-1,-2,-3\n" + conv(8, 1, "leaky")));
    check_against_ref(Case(conv(16, 1, "leaky") + "[maxpool]\nsize=5\nstride=1\n[route]\nlayers=-2\n" +
                           "[maxpool]\nsize=9\nstride=1\n[route]\nlayers=-1,-3,-4\n" + conv(8, 3, "leaky") +
                           "[upsample]\nstride=2\n"));
}

TEST_CASE("cpu: bf16 stays within its rounding of float32") {
    check_against_ref(Case(kCsp), Precision::bf16, 0.03f);
    check_against_ref(
        Case(conv(64, 3, "leaky") + conv(64, 3, "mish") + "[maxpool]\nsize=2\nstride=2\n" + conv(96, 1, "swish")),
        Precision::bf16, 0.03f);
    check_against_ref(Case(conv(64, 1, "leaky") + bottleneck(96, 64, "leaky") + "[shortcut]\nfrom=-4\n" +
                               bottleneck(128, 96, "leaky", 2) + bottleneck(128, 16, "leaky"),
                           {64, 40, 36}),
                      Precision::bf16, 0.03f);
}

TEST_CASE("cpu: bf16 is multiplied as such where the hardware is faster at it") {
    const bool intel = true, amd = false;
    CHECK(cpu::bf16_products_pay(dnnl_cpu_isa_avx512_core_bf16, amd));          // Zen 4
    CHECK(cpu::bf16_products_pay(dnnl_cpu_isa_avx512_core_bf16, intel));        // Cooper Lake
    CHECK(cpu::bf16_products_pay(dnnl_cpu_isa_avx512_core_amx, intel));         // Sapphire Rapids
    CHECK_FALSE(cpu::bf16_products_pay(dnnl_cpu_isa_avx512_core_fp16, intel));  // the same, without AMX
    CHECK_FALSE(cpu::bf16_products_pay(dnnl_cpu_isa_avx512_core, intel));
    CHECK_FALSE(cpu::bf16_products_pay(dnnl_cpu_isa_avx2_vnni, intel));
    CHECK(cpu::multiplied_as(DType::f32) == DType::f32);
    CHECK((cpu::multiplied_as(DType::bf16) == DType::bf16) == cpu::multiplies_bf16());
}

TEST_CASE("cpu: auto precision is one that this processor multiplies as such, and plans say which") {
    const Case net(conv(16, 3, "leaky"));
    const auto precision_of = [&](Precision wanted) {
        PlanOptions options;
        options.precision = wanted;
        return compile(*make_backend("cpu"), net, options)->precision();
    };
    CHECK(precision_of(Precision::f32) == Precision::f32);
    CHECK(precision_of(Precision::bf16) == Precision::bf16);
    CHECK(precision_of(Precision::automatic) == (cpu::multiplies_bf16() ? Precision::bf16 : Precision::f32));
}

TEST_CASE("cpu: the answer does not depend on the number of threads") {
    const Case net(kCsp);
    const int last = static_cast<int>(net.graph.nodes.size()) - 1;
    PlanOptions options;
    const auto backend = make_backend("cpu");
    const Floats expected = outputs(*compile(*backend, net, options), net, last);
    for (int threads : {2, 3, 7}) {
        options.threads = threads;
        CHECK(outputs(*compile(*backend, net, options), net, last) == expected);
    }
}

TEST_CASE("cpu: plans of one backend share packed weights and run in parallel") {
    const Case net(kCsp);
    const int last = static_cast<int>(net.graph.nodes.size()) - 1;
    PlanOptions options;
    options.threads = 2;
    const auto backend = make_backend("cpu");
    const auto first = compile(*backend, net, options);
    const Floats expected = outputs(*first, net, last);
    std::vector<Floats> found(3);
    std::vector<std::thread> threads;
    for (Floats& answer : found)
        threads.emplace_back([&] {
            const auto plan = compile(*backend, net, options);
            for (int i = 0; i < 5; ++i) answer = outputs(*plan, net, last);
        });
    for (std::thread& thread : threads) thread.join();
    for (const Floats& answer : found) CHECK(answer == expected);
}

TEST_CASE("cpu: a plan compiled after the weights changed has the new ones, whatever older plans still hold") {
    const Case net(conv(16, 3, "leaky"));
    const auto backend = make_backend("cpu");
    const auto before = compile(*backend, net, {});
    const Floats old = outputs(*before, net, 0);
    for (float& weight : net.parameters->nodes[0].weights) weight = -weight;
    ++net.parameters->weights_version;
    const auto after = compile(*backend, net, {});
    check_equal(outputs(*after, net, 0), outputs(*compile(*make_backend("ref"), net, {}), net, 0), 1e-4f);
    CHECK(outputs(*before, net, 0) == old);
}

TEST_CASE("cpu: a forked child can run its parent's plan") {
    const Case net(kCsp);
    const int last = static_cast<int>(net.graph.nodes.size()) - 1;
    PlanOptions options;
    options.threads = 2;
    const auto plan = compile(*make_backend("cpu"), net, options);
    const Floats expected = outputs(*plan, net, last);  // the team of threads exists now
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);  // a hang is a failure too
        _exit(outputs(*plan, net, last) == expected ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("cpu: a profile names what ran") {
    const Case net(conv(16, 3, "mish") + "[maxpool]\nsize=2\nstride=2\n");
    const auto times = compile(*make_backend("cpu"), net, {})->profile();
    REQUIRE(times.size() == 3);  // the input's change of layout comes first
    CHECK(times[0].node == -1);
    CHECK_CONTAINS(times[1].what, "+tiles");
    CHECK(times[2].what == "maxpool");
}

TEST_CASE("cpu: a profile of images on threads of their own adds up all of them") {
    const Case net(conv(16, 3, "leaky") + "[maxpool]\nsize=2\nstride=2\n", kInput, 4);
    PlanOptions options;
    options.threads = 2;
    const auto plan = compile(*make_backend("cpu"), net, options);
    const auto times = plan->profile();
    REQUIRE(times.size() == 3);
    CHECK(times[2].what == "maxpool");
    for (const LayerTime& time : times) CHECK(time.seconds > 0);
    CHECK(plan->activation_bytes() > net.x.size() * sizeof(float));
}

TEST_CASE("cpu: planes that were lent are read once, then the plan's own again") {
    const Case net(conv(16, 3, "leaky") + conv(8, 1, "linear"));
    const Floats other = random_floats(net.x.size(), 12);
    for (int threads : {1, 3}) {  // whole images on each thread, or all threads on each layer
        PlanOptions options;
        options.threads = threads;
        const auto plan = compile(*make_backend("cpu"), net, options);
        const Floats expected = outputs(*plan, net, 1);
        Floats found(expected.size());
        REQUIRE(plan->read_from(other.data()));
        plan->forward();
        plan->read(1, found.data());
        CHECK(found != expected);
        plan->forward();
        plan->read(1, found.data());
        CHECK(found == expected);
    }
}
#endif
