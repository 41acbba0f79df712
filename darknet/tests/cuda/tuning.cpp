// SPDX-License-Identifier: Apache-2.0
// Engines of cuDNN that are chosen by their time, and kept.
#include "backends/cuda/tuning.hpp"

#include <filesystem>
#include <fstream>

#include "../ops/ops.hpp"
#include "backends/cuda/dnn.hpp"
#include "fake_gpu.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const cuda::ConvolutionShape kShape{2, 8, 6, 5, 16, 6, 5, 3, 1, 1, 1, 1, 1, DType::f16, false};

// The engine that is taken, and how many convolutions were run for it.
class Tuned {
public:
    explicit Tuned(const FakeGpu& gpu) : gpu_(gpu) {}

    int engine(cuda::ConvolutionShape shape = kShape, cuda::Pass pass = cuda::Pass::forward) {
        const long long before = gpu_.count("convolutions");
        const auto device = std::make_shared<cuda::Device>(FakeGpu::libraries(), 0);
        const cuda::Stream stream(device);
        const cuda::DnnStream dnn(stream);
        const cuda::Tuning tuning(folder_.path().string());
        const int found = cuda::Convolution(dnn, shape, pass, "test", &tuning).engine();
        runs = gpu_.count("convolutions") - before;
        return found;
    }
    std::vector<std::filesystem::path> files() const {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) found.push_back(entry.path());
        return found;
    }
    long long runs = 0;

private:
    const FakeGpu& gpu_;
    const TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("cuda tuning: the fastest engine is measured once and kept") {
    const FakeGpu gpu;
    for (const cuda::Pass pass : {cuda::Pass::forward, cuda::Pass::data, cuda::Pass::filter}) {
        Tuned tuned(gpu);
        gpu.set("slow_engine", 2);
        CHECK(tuned.engine(kShape, pass) == 3);
        CHECK(tuned.runs == 2 * 6);  // two engines suit; one run loads each, and five are measured
        gpu.set("slow_engine", 3);
        CHECK(tuned.engine(kShape, pass) == 3);
        CHECK(tuned.runs == 0);
    }
    CHECK(gpu.count("used") == 0);
}

TEST_CASE("cuda tuning: another convolution, version of cuDNN or GPU is measured for itself") {
    const FakeGpu gpu;
    Tuned tuned(gpu);
    const auto is_measured = [&](const cuda::ConvolutionShape& shape) {
        tuned.engine(shape);
        return tuned.runs > 0;
    };
    CHECK(is_measured(kShape));
    cuda::ConvolutionShape larger = kShape, other_type = kShape;
    larger.n = 3;
    other_type.type = DType::f32;
    other_type.tf32 = true;
    CHECK(is_measured(larger));
    CHECK(is_measured(other_type));
    gpu.set("dnn", 91000);
    CHECK(is_measured(kShape));
    gpu.set("arch", 80);
    CHECK(is_measured(kShape));
    CHECK(tuned.files().size() == 5);
    for (int again = 0; again < 2; ++again) CHECK(!is_measured(kShape));
}

TEST_CASE("cuda tuning: a choice in a damaged file, or of an engine that is not listed any more, is made again") {
    const FakeGpu gpu;
    Tuned tuned(gpu);
    gpu.set("slow_engine", 2);
    CHECK(tuned.engine() == 3);
    REQUIRE(tuned.files().size() == 1);
    const std::filesystem::path file = tuned.files()[0];
    std::ofstream(file, std::ios::binary | std::ios::app) << "x";
    CHECK(tuned.engine() == 3);
    CHECK(tuned.runs > 0);
    std::filesystem::resize_file(file, 30);
    CHECK(tuned.engine() == 3);
    CHECK(tuned.runs > 0);
    std::filesystem::resize_file(file, 0);
    CHECK(tuned.engine() == 3);
    CHECK(tuned.runs > 0);
    CHECK(tuned.engine() == 3);
    CHECK(tuned.runs == 0);
    gpu.set("engines", 3);
    CHECK(tuned.engine() == 2);
}

TEST_CASE("cuda tuning: choices are kept by key, and not at all where nothing can be written") {
    const FakeGpu gpu;
    const TemporaryFolder folder;
    const cuda::Tuning tuning(folder.path().string());
    tuning.keep("a", {3, 17});
    REQUIRE(tuning.read("a"));
    CHECK(tuning.read("a")->place == 3);
    CHECK(tuning.read("a")->number == 17);
    CHECK(!tuning.read("b"));
    const cuda::Tuning nowhere("/proc/no/such/folder"), none("");
    for (const cuda::Tuning* unkept : {&nowhere, &none}) {
        unkept->keep("a", {3, 17});
        CHECK(!unkept->read("a"));
    }
}

TEST_CASE("cuda tuning: without memory to measure the heuristic's first engine is taken, and nothing is kept") {
    const FakeGpu gpu;
    Tuned tuned(gpu);
    gpu.set("slow_engine", 2);
    gpu.set("memory", gpu.count("used") + 1024);
    CHECK(tuned.engine() == 2);
    CHECK(tuned.files().empty());
    CHECK(gpu.count("used") == 0);
}

TEST_CASE("cuda tuning: inference tunes where PYDARKNET_CUDA_TUNE asks for it") {
    const FakeGpu gpu;
    const TemporaryFolder folder;
    setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
    gpu.set("slow_engine", 2);
    const Graph graph = graph_of("[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=mish\n", {8, 4, 4});
    const auto engine = [&](const char* word) {
        setenv("PYDARKNET_CUDA_TUNE", word, 1);
        PlanOptions options;
        options.precision = Precision::f16;
        const auto backend = FakeGpu::backend();
        return backend->compile(graph, initial_parameters(graph, 1), options)->profile().at(0).what;
    };
    CHECK(engine("") == "cudnn:2");
    CHECK(engine("0") == "cudnn:2");
    CHECK(engine("1") == "cudnn:3");
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { engine("yes"); }),
                   "PYDARKNET_CUDA_TUNE: found 'yes', expected 0 or 1");
    unsetenv("PYDARKNET_CUDA_TUNE");
    setenv("XDG_CACHE_HOME", DN_FAKES "/cache", 1);
}
