// SPDX-License-Identifier: Apache-2.0
// Where the machine code of kernels comes from: the build, the cache, the compiler.
#include "backends/cuda/compiler.hpp"

#include <filesystem>
#include <fstream>

#include "../ops/ops.hpp"
#include "fake_gpu.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kCuda12 = 12040, kCuda13 = 13000;
const std::vector<cuda::EmbeddedCode> kCodes{{"activations", 75, kCuda12, "first"},
                                             {"activations", 80, kCuda12, "second"},
                                             {"activations", 87, kCuda12, "third"},
                                             {"pool", 90, kCuda13, "fourth"}};

std::string code_for(const char* program, int arch, int driver) {
    const cuda::EmbeddedCode* found = cuda::find_code(kCodes, program, arch, driver);
    return found ? std::string(found->code) : "";
}

cuda::abi::FunctionHandle* load(cuda::Kernels& kernels, const char* program, DType storage, const char* name) {
    return kernels.handle_of(kernels.declare({program, storage}, name));
}

// A process that has no NVRTC, and a build with machine code.
std::shared_ptr<const cuda::Libraries> without_compiler(const std::vector<cuda::EmbeddedCode>& codes) {
    auto found = std::make_shared<cuda::Libraries>(*FakeGpu::libraries());
    found->nvrtc = {};
    found->nvrtc_version = 0;
    found->nvrtc_missing = "NVRTC was not found";
    found->embedded = codes;
    return found;
}

}  // namespace

TEST_CASE("cuda: embedded machine code runs on GPUs of the same major version and newer") {
    CHECK(code_for("activations", 75, kCuda12) == "first");
    CHECK(code_for("activations", 70, kCuda12) == "");
    CHECK(code_for("activations", 80, kCuda12) == "second");
    CHECK(code_for("activations", 86, kCuda12) == "second");
    CHECK(code_for("activations", 89, kCuda12) == "third");
    CHECK(code_for("activations", 90, kCuda12) == "");
    CHECK(code_for("pool", 75, kCuda12) == "");
    CHECK(code_for("pool", 90, kCuda12) == "");  // the driver is older than the compiler
    CHECK(code_for("pool", 90, kCuda13) == "fourth");
}

TEST_CASE("cuda: a build with machine code needs no NVRTC") {
    const FakeGpu gpu;
    const long long before = gpu.count("compiled");
    const auto device = std::make_shared<cuda::Device>(without_compiler(kCodes), 0);
    cuda::Kernels kernels(device, "");
    CHECK(load(kernels, "activations", DType::f16, "dn_activate_f16") != nullptr);
    auto beside = std::make_shared<cuda::Libraries>(*FakeGpu::libraries());
    beside->embedded = kCodes;
    cuda::Kernels preferred(std::make_shared<cuda::Device>(beside, 0), "");
    CHECK(load(preferred, "activations", DType::f16, "dn_activate_f16") != nullptr);
    CHECK(gpu.count("compiled") == before);
}

TEST_CASE("cuda: without NVRTC and without machine code for the GPU, both remedies are named") {
    const FakeGpu gpu;
    gpu.set("arch", 61);
    std::string why;
    CHECK(!cuda::is_available(*without_compiler(kCodes), 0, &why));
    CHECK(why ==
          "NVRTC was not found; or use a build of libdarknet that holds machine code for this GPU "
          "(-DDN_CUDA_EMBED=61)");
    CHECK_CONTAINS(error_of(Status::backend, [] { cuda::Device(without_compiler({}), 0); }), "(-DDN_CUDA_EMBED=61)");
}

TEST_CASE("cuda: machine code is kept, and compiled again when its file is damaged") {
    const FakeGpu gpu;
    const TemporaryFolder folder;
    const auto device = std::make_shared<cuda::Device>(FakeGpu::libraries(), 0);
    const auto compiled = [&](const std::string& cache) {
        const long long before = gpu.count("compiled");
        cuda::Kernels kernels(device, cache);
        load(kernels, "activations", DType::f32, "dn_activate_f32");
        load(kernels, "activations", DType::f32, "dn_activate_backward_f32");
        return gpu.count("compiled") - before;
    };
    CHECK(compiled(folder.path().string()) == 1);
    CHECK(compiled(folder.path().string()) == 0);
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        std::ofstream(entry.path(), std::ios::binary | std::ios::app) << "x";
    CHECK(compiled(folder.path().string()) == 1);
    CHECK(compiled(folder.path().string()) == 0);
    gpu.set("arch", 80);
    const auto other = std::make_shared<cuda::Device>(FakeGpu::libraries(), 0);
    cuda::Kernels kernels(other, folder.path().string());
    load(kernels, "activations", DType::f32, "dn_activate_f32");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
    CHECK(compiled("/proc/no/such/folder") == 1);
    CHECK(compiled("") == 1);
    gpu.set("compile_error", 6);
    CHECK_CONTAINS(error_of(Status::backend, [&] { compiled(""); }), "NVRTC did not compile a kernel for sm_75");
}

TEST_CASE("cuda: what the cache holds, and why it holds nothing") {
    const TemporaryFolder folder;
    const std::string path = folder.path().string();
    const cuda::DiskCache codes(path, "cubin"), engines(path, "engine");
    codes.write("a", std::string(1000, 'x'));
    codes.write("b", "y");
    engines.write("a", "z");
    std::ofstream(folder.path() / "a.cubin.1.2") << "being written";
    std::ofstream(folder.path() / "old.cubin") << "pydarknet machine code 1\n";
    const auto facts = [&] { return cuda::inspect_cache(path); };
    CHECK(facts().files == 3);
    CHECK(facts().bytes > 1000);
    CHECK(facts().damaged == 0);
    CHECK(facts().why_not == "");
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        if (entry.path().extension() == ".engine") std::filesystem::resize_file(entry.path(), 20);
    CHECK(facts().damaged == 1);
    CHECK(!engines.read("a"));
    CHECK(codes.read("b") == "y");
    CHECK(cuda::inspect_cache(path + "/not/yet/made").why_not == "");
    const std::string file = path + "/file";
    std::ofstream(file) << "in the way";
    CHECK(cuda::inspect_cache(file + "/below").why_not ==
          file + " cannot be written; set XDG_CACHE_HOME to another folder");
    CHECK_CONTAINS(cuda::inspect_cache("").why_not, "set XDG_CACHE_HOME or HOME");
}

TEST_CASE("cuda: the programs of a plan are compiled beside each other, for the types that it uses") {
    const FakeGpu gpu;
    const auto device = std::make_shared<cuda::Device>(FakeGpu::libraries(), 0);
    cuda::Kernels kernels(device, "");
    const long long before = gpu.count("compiled"), halves = gpu.count("-DDN_STORAGE=f16");
    const std::vector<const cuda::Function*> declared{&kernels.declare({"activations", DType::f16}, "dn_activate_f16"),
                                                      &kernels.declare({"activations", DType::f32}, "dn_activate_f32"),
                                                      &kernels.declare({"update", DType::f32}, "dn_sgd"),
                                                      &kernels.declare({"pool", DType::f16}, "dn_maxpool_f16"),
                                                      &kernels.declare({"pool", DType::f16}, "dn_blur_f16")};
    gpu.set("compile_error", 6);
    CHECK_CONTAINS(error_of(Status::backend, [&] { kernels.load_declared(); }), "NVRTC did not compile a kernel");
    for (const cuda::Function* function : declared) CHECK(function->handle == nullptr);
    gpu.set("compile_error", 0);
    const long long failed = gpu.count("compiled") - before;
    CHECK(failed >= 1);
    const long long failed_halves = gpu.count("-DDN_STORAGE=f16") - halves;
    kernels.load_declared();
    for (const cuda::Function* function : declared) CHECK(function->handle != nullptr);
    CHECK(gpu.count("compiled") - before == failed + 4);
    CHECK(gpu.count("-DDN_STORAGE=f16") - halves == failed_halves + 2);
}

TEST_CASE("cuda: a plan has loaded every kernel before its first pass") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Graph graph =
        graph_of("[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=mish\n[maxpool]\nsize=2\n", {3, 8, 8});
    const auto plan = backend->compile(graph, initial_parameters(graph, 1), {});
    const long long before = gpu.count("modules");
    Floats found(graph.nodes.back().out.size());
    std::fill_n(plan->input(), graph.input.size(), 0.5f);
    plan->forward();
    plan->read(1, found.data());
    CHECK(before > 0);
    CHECK(gpu.count("modules") == before);
}
