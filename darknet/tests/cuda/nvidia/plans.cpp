// SPDX-License-Identifier: Apache-2.0
// NVIDIA's cuDNN, without a GPU: every convolution of the cfg files has an engine that the backend accepts, forward and
// backward, on a T4, a V100, an A100 and an H200. The driver is that of the tests; the properties of the GPUs are those
// of their data sheets.
// usage: darknet_dnn_plans FOLDER-WITH-THE-LIBRARIES CFG...
#include <cstdio>
#include <set>
#include <tuple>

#include "backends/cuda/dnn.hpp"
#include "backends/cuda/libraries.hpp"
#include "error.hpp"
#include "graph.hpp"

using namespace dn;
using namespace dn::cuda;

namespace {

struct Gpu {
    const char* name;
    DType type;
    bool tf32;
    const char* facts;
};

constexpr const char kCommon[] =
    "{\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536, "
    "\"smCountOrigin\": 0, \"warpSize\": 32, \"maxSharedMemoryPerBlock\": 49152, \"maxRegistersPerSM\": 65536, "
    "\"maxThreadsPerBlock\": 1024, \"pciDeviceId\": 0, \"isTccDriver\": 0, \"supportCoopLaunch\": 1, "
    "\"cudaDeviceId\": 0, \"driverVer\": 12090, ";
constexpr const char kT4[] =
    "\"deviceVer\": 750, \"multiProcessorCount\": 40, \"maxSharedMemoryPerBlockOptin\": 65536, "
    "\"reservedSharedMemoryPerBlock\": 0, \"maxCtasPerSM\": 16, \"maxThreadsPerSM\": 1024, \"totalGlobalMem\": "
    "15835660288, \"smClockRateKHz\": 1590000, \"memClockRateKHz\": 5001000, \"l2CacheSize\": 4194304, \"deviceName\": "
    "\"Tesla T4\"}";
constexpr const char kV100[] =
    "\"deviceVer\": 700, \"multiProcessorCount\": 80, \"maxSharedMemoryPerBlockOptin\": 98304, "
    "\"reservedSharedMemoryPerBlock\": 0, \"maxCtasPerSM\": 32, \"maxThreadsPerSM\": 2048, \"totalGlobalMem\": "
    "16945512448, \"smClockRateKHz\": 1530000, \"memClockRateKHz\": 877000, \"l2CacheSize\": 6291456, \"deviceName\": "
    "\"Tesla V100-SXM2-16GB\"}";
constexpr const char kA100[] =
    "\"deviceVer\": 800, \"multiProcessorCount\": 108, \"maxSharedMemoryPerBlockOptin\": 166912, "
    "\"reservedSharedMemoryPerBlock\": 1024, \"maxCtasPerSM\": 32, \"maxThreadsPerSM\": 2048, \"totalGlobalMem\": "
    "42505273344, \"smClockRateKHz\": 1410000, \"memClockRateKHz\": 1215000, \"l2CacheSize\": 41943040, "
    "\"deviceName\": \"NVIDIA A100-SXM4-40GB\"}";
constexpr const char kH200[] =
    "\"deviceVer\": 900, \"multiProcessorCount\": 132, \"maxSharedMemoryPerBlockOptin\": 232448, "
    "\"reservedSharedMemoryPerBlock\": 1024, \"maxCtasPerSM\": 32, \"maxThreadsPerSM\": 2048, \"totalGlobalMem\": "
    "150754820096, \"smClockRateKHz\": 1980000, \"memClockRateKHz\": 3201000, \"l2CacheSize\": 62914560, "
    "\"deviceName\": \"NVIDIA H200\"}";

constexpr Gpu kGpus[] = {{"T4 fp16", DType::f16, false, kT4},     {"T4 fp32", DType::f32, false, kT4},
                         {"V100 fp16", DType::f16, false, kV100}, {"A100 bf16", DType::bf16, false, kA100},
                         {"A100 fp32", DType::f32, false, kA100}, {"H200 bf16", DType::bf16, false, kH200}};

using Key = std::tuple<int, int, int, int, int, int, int, int>;

std::vector<ConvolutionShape> shapes_of(const char* const* first, const char* const* last, int batch) {
    std::set<Key> known;
    std::vector<ConvolutionShape> shapes;
    for (; first != last; ++first) {
        const Graph graph = build_graph(read_cfg(*first), false);
        for (const Node& node : graph.nodes) {
            if (node.kind != Kind::convolutional) continue;
            const auto& p = node.as<ConvolutionalParams>();
            if (!known.insert({node.in.c, node.in.h, node.in.w, node.out.c, p.size, p.stride_x, p.padding, p.groups})
                     .second)
                continue;
            shapes.push_back({batch, node.in.c, node.in.h, node.in.w, node.out.c, node.out.h, node.out.w, p.size,
                              p.stride_y, p.stride_x, p.padding * p.dilation, p.dilation, p.groups, DType::f32, false});
        }
    }
    return shapes;
}

// Number of shapes without an engine.
int count_missing(const DnnStream& dnn, const Gpu& gpu, const std::vector<ConvolutionShape>& shapes, Pass pass) {
    int missing = 0;
    for (ConvolutionShape shape : shapes) {
        shape.type = gpu.type;
        shape.tf32 = gpu.tf32;
        try {
            const Convolution planned(
                dnn, shape, pass,
                text(gpu.name, ": ", shape.c, 'x', shape.h, 'x', shape.w, " -> ", shape.k, ", size ", shape.size));
        } catch (const Error& error) {
            std::printf("%s\n", error.what());
            ++missing;
        }
    }
    return missing;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) return 2;
    constexpr int kBatch = 8;
    const auto device = std::make_shared<Device>(open_libraries({arguments[1]}), 0);
    const Stream stream(device);
    const std::vector<ConvolutionShape> shapes = shapes_of(arguments + 2, arguments + count, kBatch);
    int missing = 0;
    for (const Gpu& gpu : kGpus) {
        const DnnStream dnn(stream, std::string(kCommon) + gpu.facts);
        for (const Pass pass : {Pass::forward, Pass::data, Pass::filter})
            missing += count_missing(dnn, gpu, shapes, pass);
        std::printf("%s: %zu shapes planned, %d without an engine so far\n", gpu.name, shapes.size(), missing);
    }
    return missing ? 1 : 0;
}
