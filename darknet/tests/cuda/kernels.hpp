// SPDX-License-Identifier: Apache-2.0
// Tests of kernels: guarded memory in the place of a device's, launches under every schedule, and layers of the
// reference backend to compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../ops/ops.hpp"
#include "backends/host/host_training.hpp"
#include "host_kernels.hpp"
#include "random.hpp"

namespace dn::test {

enum class Storage { f32, f16, bf16 };
inline constexpr Storage kStorages[] = {Storage::f32, Storage::f16, Storage::bf16};

inline const char* suffix(Storage storage) {
    return storage == Storage::f32 ? "_f32" : storage == Storage::f16 ? "_f16" : "_bf16";
}
// What rounding to the type may change, relative to the size of a value.
inline float rounding(Storage storage) {
    return storage == Storage::f32 ? 6e-8f : storage == Storage::f16 ? 4.9e-4f : 3.9e-3f;
}
inline std::size_t bytes(Storage storage) { return storage == Storage::f32 ? 4 : 2; }

// Memory of a device: NaN until it is written, between guards that show a write outside; AddressSanitizer reports
// reads of them, too.
class DeviceMemory {
public:
    explicit DeviceMemory(std::size_t bytes);
    ~DeviceMemory();
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    void* data() { return all_.data() + kGuard; }
    const void* data() const { return all_.data() + kGuard; }
    std::size_t size() const { return all_.size() - 2 * kGuard; }
    bool intact() const;

private:
    static constexpr std::size_t kGuard = 256;
    void protect(bool on) const;
    std::vector<unsigned char> all_;
};

// An array of plain values on the device.
template <class T>
class DeviceArray {
public:
    explicit DeviceArray(std::size_t count) : memory_(count * sizeof(T)) {}
    explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
        if (!values.empty()) std::memcpy(memory_.data(), values.data(), values.size() * sizeof(T));
    }
    ~DeviceArray() { CHECK(memory_.intact()); }
    T* data() { return static_cast<T*>(memory_.data()); }
    std::vector<T> read() const {
        const T* first = static_cast<const T*>(memory_.data());
        return {first, first + memory_.size() / sizeof(T)};
    }

private:
    DeviceMemory memory_;
};

// A channels-last tensor on the device; its pitch may be greater than its channels. Written and read as planes
// (n, c, h, w) of float32.
class DeviceTensor {
public:
    DeviceTensor(Storage storage, int n, Shape shape, int gap = 0);
    DeviceTensor(Storage storage, int n, Shape shape, const Floats& planes, int gap = 0)
        : DeviceTensor(storage, n, shape, gap) {
        write(planes);
    }
    ~DeviceTensor() { CHECK(memory_.intact()); }
    void write(const Floats& planes);
    Floats read() const;
    cuda::View view(int first_channel = 0);
    int channels() const { return shape_.c; }
    long long pixels() const { return 1LL * n_ * shape_.h * shape_.w; }

private:
    std::size_t index(int image, int c, std::size_t pixel) const;
    Storage storage_;
    int n_;
    Shape shape_;
    int pitch_;
    DeviceMemory memory_;
};

constexpr cuda::View kNoView{nullptr, 0};

// Planes as a device of this storage type holds them.
Floats rounded(Storage storage, const Floats& planes);
// Values in -range .. range, functions of the seed.
Floats random_values(std::size_t count, std::uint64_t seed, float range = 2);
// The largest difference, relative to the size of the expected value, or absolute below 1. NaN is as large as it gets.
float largest_error(const Floats& found, const Floats& expected);
bool same_bits(const Floats& a, const Floats& b);

template <class Args>
void launch_kernel(const cuda::KernelName<Args>& kernel, Storage storage, cuda::Dim3 grid, const Args& args,
                   const LaunchOptions& options) {
    const std::string name = std::string(kernel.name) + (kernel.typed ? suffix(storage) : "");
    const HostKernel* host = find_kernel(name);
    REQUIRE_MESSAGE(host, name);
    REQUIRE(host->argument_size == sizeof(Args));
    Args copy = args;
    void* arguments[] = {&copy};
    launch(
        grid, {cuda::kThreads, 1, 1}, [&] { host->call(arguments); }, options);
}

// A grid that is too small for one value a thread where there are many, so that loops go round.
inline cuda::Dim3 grid_for(long long count) {
    return {static_cast<unsigned>(std::min((count + cuda::kThreads - 1) / cuda::kThreads, 3LL)), 1, 1};
}

// What run(options) returns, which must have the same bits under every schedule.
template <class Run>
Floats under_every_schedule(const Run& run) {
    const Floats first = run(LaunchOptions{kSchedules[0]});
    for (const Schedule schedule : {kSchedules[1], kSchedules[2]})
        CHECK(same_bits(run(LaunchOptions{schedule}), first));
    return first;
}

// The last section of a cfg, computed by the reference backend on sources that the test fills.
class ReferenceLayer {
public:
    ReferenceLayer(const std::string& sections, Shape input, int batch, bool training = true);
    void forward() { kernel_->forward(); }
    void backward() { kernel_->backward(); }

    const Node& node() const { return graph_.nodes.back(); }
    int batch() const { return context_->batch; }
    Shape shape(int source) const { return context_->src[source].shape; }
    NodeParameters& parameters() { return parameters_->of(graph_, node().index); }

    // Random values for the sources, the deltas that they have already, and the delta of the output, as a device holds
    // them.
    void fill(Storage storage, float range = 2);

    // Planes. Their memory stays where it is.
    std::vector<Floats> src, dsrc;  // by source
    Floats dst, ddst;
    NodeParameters statistics, gradients;
    std::uint64_t seen = 0;

private:
    Graph graph_;
    std::shared_ptr<Parameters> parameters_;
    std::unique_ptr<HostContext> context_;
    std::unique_ptr<Kernel> kernel_;
};

}  // namespace dn::test
