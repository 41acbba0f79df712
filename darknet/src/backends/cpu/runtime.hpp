// SPDX-License-Identifier: Apache-2.0
// Shared by the kernels of one plan: oneDNN's engine and stream, one scratch area, and weights packed once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <dnnl.hpp>

#include "../../tensor.hpp"

namespace dn::cpu {

std::size_t aligned(std::size_t bytes);  // rounded up to the arena's alignment

// Memory aligned for the widest vectors, freed with its owner. Not cleared: pages that are not touched cost nothing.
// Large ones are pages of their own, which the system has back at once: on the heap, buffers of changing sizes (another
// input size, another batch) leave gaps, and a training that fitted would grow.
class AlignedBuffer {
public:
    explicit AlignedBuffer(std::size_t size = 0);
    std::byte* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

private:
    struct Free {
        std::size_t mapped;  // bytes; 0: on the heap
        void operator()(std::byte* p) const;
    };
    std::size_t size_;
    std::unique_ptr<std::byte, Free> data_{nullptr, Free{0}};
};

// Kernels say how much scratch they need when they are made and find it when they run. It holds nothing from one
// kernel to the next.
class Runtime {
public:
    Runtime(const dnnl::engine& engine, int threads) : engine_(engine), stream_(engine), threads_(threads) {}

    dnnl::engine& engine() { return engine_; }
    dnnl::stream& stream() { return stream_; }
    int threads() const { return threads_; }
    void reserve(std::size_t size) { wanted_ = std::max(wanted_, size); }
    void allocate() { scratch_ = AlignedBuffer(wanted_); }
    std::byte* scratch() const { return scratch_.data(); }
    std::size_t scratch_size() const { return scratch_.size(); }

private:
    dnnl::engine engine_;
    dnnl::stream stream_;
    int threads_;
    std::size_t wanted_ = 0;
    AlignedBuffer scratch_;
};

// Of weights that kernels of our own read.
enum class WordOrder { matrix, bf16_matrix, taps, winograd, product };

// The weights of one set of parameters in the formats that primitives chose, shared by plans of any batch, size and
// precision whose formats agree, and by clones of a network.
class WeightStore {
public:
    explicit WeightStore(const dnnl::engine& engine) : engine_(engine) {}

    using Fill = std::function<void(float* plain)>;

    // The array of `node` laid out as `wanted`. On the first call for this format, `fill` writes it as `plain`
    // (float32), which is then converted. rounded: to the values that bfloat16 has, whatever the format.
    dnnl::memory get(int node, const dnnl::memory::desc& wanted, const dnnl::memory::desc& plain, const Fill& fill,
                     bool rounded = false);

    // The same for an array of `count` words of 32 bits in an order of our own, as `fill` writes it.
    const void* get_words(int node, std::size_t count, WordOrder order, const std::function<void(void*)>& fill);

private:
    dnnl::engine engine_;
    std::mutex mutex_;
    // By node and whether rounded; weights and biases differ in their dimensions.
    std::map<std::pair<int, bool>, std::vector<dnnl::memory>> packed_;
};

dnnl::memory::data_type dnnl_type(DType type);
// A channels-last view as oneDNN describes it.
dnnl::memory::desc describe(const Tensor& tensor);
dnnl::memory::desc describe(int n, Shape shape, DType type);
// The same shape without gaps between pixels, at `data`.
Tensor dense_at(const Tensor& tensor, void* data);
std::size_t dense_bytes(const Tensor& tensor);  // aligned

// Runs `work` with a team of `threads` on the calling thread and restores its setting. In a forked child, where the
// parent's teams are gone but not forgotten, it runs on a thread of its own.
void with_team(int threads, const std::function<void()>& work);

// Carries the first exception of a parallel region out of it.
class FirstFailure {
public:
    template <class Work>
    void guard(const Work& work) noexcept {
        try {
            work();
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
        }
    }
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    std::mutex mutex_;
    std::exception_ptr failure_;
};

// body(i) for i in [0, count), in contiguous parts, one for each thread of the team.
template <class Body>
void parallel_for(int count, const Body& body) {
    FirstFailure failure;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < count; ++i) failure.guard([&] { body(i); });
    failure.rethrow();
}

// The same for large bodies: each thread takes the next when it is done with one.
template <class Body>
void parallel_tasks(int count, const Body& body) {
    FirstFailure failure;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; ++i) failure.guard([&] { body(i); });
    failure.rethrow();
}

// Which thread of the team runs this, from 0.
int thread_index();

}  // namespace dn::cpu
