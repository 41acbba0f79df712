// SPDX-License-Identifier: Apache-2.0
// The cuda backend on the libraries for tests (fakes/): what it refuses, how it fails, and what it computes with.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "../ops/ops.hpp"
#include "fake_gpu.hpp"
#include "sanitizers.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kNet =
    "[convolutional]\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=mish\nbatch_normalize=1\n"
    "[convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n"
    "[shortcut]\nfrom=-2\nactivation=linear\n"
    "[route]\nlayers=-1,-3\n[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n[route]\nlayers=-1,-4\n"
    "[convolutional]\nfilters=8\nsize=1\ngroups=2\nactivation=linear\n"
    "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=mish\n"
    "[shortcut]\nfrom=-3\nactivation=linear\n";  // over its source, which no other layer reads
const Shape kInput{3, 8, 10};

Floats outputs(const Backend& backend, Precision precision = Precision::automatic) {
    static const Graph graph = graph_of(kNet, kInput);
    static const std::shared_ptr<Parameters> parameters = initial_parameters(graph, 1);
    PlanOptions options;
    options.batch = 2;
    options.precision = precision;
    const auto plan = backend.compile(graph, parameters, options);
    for (std::size_t k = 0; k < options.batch * graph.input.size(); ++k)
        plan->input()[k] = std::sin(static_cast<float>(k)) / 2 + 0.5f;
    plan->forward();
    Floats found(options.batch * graph.nodes.back().out.size());
    plan->read(static_cast<int>(graph.nodes.size()) - 1, found.data());
    Floats copy = found;  // before the plan's end, which waits for the GPU
    return copy;
}

float largest_difference(const Floats& a, const Floats& b) {
    float difference = 0;
    for (std::size_t k = 0; k < a.size(); ++k) difference = std::max(difference, std::abs(a[k] - b[k]));
    return difference;
}

std::vector<std::string> engines(const Backend& backend, Precision precision) {
    const Graph graph = graph_of("[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=mish\n", {8, 4, 4});
    PlanOptions options;
    options.precision = precision;
    std::vector<std::string> found;
    for (const LayerTime& time : backend.compile(graph, initial_parameters(graph, 1), options)->profile())
        found.push_back(time.what);
    return found;
}

}  // namespace

TEST_CASE("cuda: the reason why a GPU cannot be used") {
    const FakeGpu gpu;
    CHECK(FakeGpu::why_not() == "");
    CHECK(FakeGpu::why_not(1) == "found device 1, expected 0, the only one");
    gpu.set("devices", 2);
    CHECK(FakeGpu::why_not(2) == "found device 2, expected 0 to 1");
    gpu.set("arch", 37);
    CHECK_CONTAINS(FakeGpu::why_not(), "of compute capability 3.7, expected 5.0 or newer");
    gpu.set("arch", 70);
    CHECK(FakeGpu::why_not() == "");
    gpu.set("dnn", 91100);
    CHECK_CONTAINS(FakeGpu::why_not(), "which cuDNN 9.11.0 no longer computes on");
    gpu.set("arch", 75);
    CHECK(FakeGpu::why_not() == "");
    gpu.set("driver", 11040);
    CHECK_CONTAINS(FakeGpu::why_not(), "found an NVIDIA driver for CUDA 11.4, expected 12.0 or newer");
    gpu.set("devices", 0);
    CHECK_CONTAINS(FakeGpu::why_not(), "the NVIDIA driver lists no GPU");
    CHECK_CONTAINS(error_of(Status::backend, [] { FakeGpu::backend(); }), "cuda:0: the NVIDIA driver lists no GPU");
}

TEST_CASE("cuda: cuDNN is not used without its cuBLASLt") {
    const FakeGpu gpu;
    if (dlopen("libcublasLt.so.12", RTLD_NOW)) return;  // a machine where the system's loader finds NVIDIA's
    const TemporaryFolder folder;
    for (const char* name : {"libcuda.so.1", "libnvrtc.so.12", "libcudnn.so.9"})
        std::filesystem::create_symlink(std::filesystem::path(DN_FAKES) / name, folder.path() / name);
    std::string why;
    CHECK(!cuda::is_available(*cuda::open_libraries({folder.path().string()}), 0, &why));
    CHECK_CONTAINS(why, "cuDNN 9.10.2 needs libcublasLt.so.12, which was not found");
}

TEST_CASE("cuda: every precision agrees with the reference") {
    const FakeGpu gpu;
    const Floats expected = outputs(*make_backend("ref"));
    for (const int arch : {61, 75, 80}) {
        gpu.set("arch", arch);
        const auto backend = FakeGpu::backend();
        for (const PrecisionChoice& choice : backend->precisions()) {
            CAPTURE(arch);
            CAPTURE(precision_name(choice.precision));
            const float difference = largest_difference(outputs(*backend, choice.precision), expected);
            CHECK(difference <= tolerance_of(choice.precision).output);
            if (choice.precision == Precision::f16 || choice.precision == Precision::bf16) CHECK(difference > 0);
        }
    }
}

TEST_CASE("cuda: precisions follow the compute capability") {
    const FakeGpu gpu;
    const auto automatic = [&](int arch) {
        gpu.set("arch", arch);
        return std::string(precision_name(FakeGpu::backend()->automatic().precision));
    };
    CHECK(automatic(61) == "fp32");
    CHECK(automatic(70) == "fp16");
    CHECK(automatic(75) == "fp16");
    CHECK(automatic(80) == "bf16");
    gpu.set("arch", 75);
    CHECK_CONTAINS(error_of(Status::backend, [] { FakeGpu::backend()->resolve(Precision::bf16); }),
                   "found precision bf16, expected fp32, fp16 or auto");
}

TEST_CASE("cuda: engines that change results from run to run, round more or take too much memory are passed over") {
    const FakeGpu gpu;
    gpu.set("arch", 80);
    const auto backend = FakeGpu::backend();
    CHECK(engines(*backend, Precision::f32) == std::vector<std::string>{"cudnn:3"});
    CHECK(engines(*backend, Precision::tf32) == std::vector<std::string>{"cudnn:2"});
    CHECK(engines(*backend, Precision::bf16) == std::vector<std::string>{"cudnn:2"});
}

TEST_CASE("cuda: memory that is full is an error with its size") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    gpu.set("memory", gpu.count("used") + (1 << 14));
    const std::string error = error_of(Status::out_of_memory, [&] { outputs(*backend); });
    CHECK_CONTAINS(error, "free on the GPU, expected ");
    CHECK_CONTAINS(error, "not even one image fits");
    gpu.set("memory", 1LL << 31);
    CHECK(outputs(*backend).size() > 0);
    CHECK(gpu.count("used") == 0);
}

TEST_CASE("cuda: a GPU that stopped is named again, and nothing ends the process") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    gpu.set("fail", 700);
    CHECK_CONTAINS(error_of(Status::backend, [&] { outputs(*backend); }), "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK_CONTAINS(error_of(Status::backend, [&] { outputs(*backend); }), "end this program and start it again");
}

TEST_CASE("cuda: a forked process is refused") {
#if !defined(DN_TSAN)
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Graph graph = graph_of(kNet, kInput);
    const auto plan = backend->compile(graph, initial_parameters(graph, 1), {});
    const auto is_refused = [](const std::function<void()>& use) {
        try {
            use();
        } catch (const Error& thrown) {
            return contains(thrown.what(), "forked from one that used it");
        }
        return false;
    };
    const pid_t child = fork();
    if (child == 0) {
        Floats found(graph.nodes.back().out.size());
        const bool refused = is_refused([&] { outputs(*backend); }) && is_refused([&] { plan->input(); }) &&
                             is_refused([&] { plan->forward(); }) &&
                             is_refused([&] { plan->read(graph.default_outputs()[0], found.data()); });
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(outputs(*backend).size() > 0);
#endif
}
