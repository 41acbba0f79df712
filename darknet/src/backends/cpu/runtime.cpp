// SPDX-License-Identifier: Apache-2.0
#include "runtime.hpp"

#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#if defined(_OPENMP) && __has_include(<omp.h>)
#include <omp.h>
#define DN_HAVE_OMP
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#define DN_HAVE_MMAP
#endif

#include "../../passes/passes.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

#if defined(__unix__) || defined(__APPLE__)
const pid_t kLoadedBy = getpid();
bool in_forked_child() { return getpid() != kLoadedBy; }
#else
bool in_forked_child() { return false; }
#endif

class TeamSize {
public:
#ifdef DN_HAVE_OMP
    explicit TeamSize(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
    ~TeamSize() { omp_set_num_threads(before_); }

private:
    int before_;
#else
    explicit TeamSize(int) {}
#endif
};

}  // namespace

std::size_t aligned(std::size_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(aligned(size)) {
    if (size_ == 0) return;
#ifdef DN_HAVE_MMAP
    constexpr std::size_t pages = 1 << 18;  // from this size on
    if (size_ >= pages) {
        void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) throw std::bad_alloc();
        data_ = {static_cast<std::byte*>(mapped), Free{size_}};
        return;
    }
#endif
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kArenaAlignment, size_)));
    if (!data_) throw std::bad_alloc();
}

void AlignedBuffer::Free::operator()(std::byte* p) const {
#ifdef DN_HAVE_MMAP
    if (mapped > 0) {
        munmap(p, mapped);
        return;
    }
#endif
    std::free(p);
}

dnnl::memory WeightStore::get(int node, const dnnl::memory::desc& wanted, const dnnl::memory::desc& plain,
                              const Fill& fill, bool rounded) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<dnnl::memory>& known = packed_[{node, rounded}];
    for (const dnnl::memory& memory : known)
        if (memory.get_desc() == wanted) return memory;
    dnnl::memory source(plain, engine_);
    auto* values = static_cast<float*>(source.get_data_handle());
    fill(values);
    if (rounded) round_to_bf16(values, plain.get_size() / sizeof(float));
    if (plain == wanted) return known.emplace_back(std::move(source));
    dnnl::memory packed(wanted, engine_);
    dnnl::stream stream(engine_);
    dnnl::reorder(source, packed).execute(stream, source, packed);
    stream.wait();
    return known.emplace_back(std::move(packed));
}

const void* WeightStore::get_words(int node, std::size_t count, WordOrder order,
                                   const std::function<void(void*)>& fill) {
    using dnnl::memory;
    memory::dims dims(2 + static_cast<std::size_t>(order), 1), strides(dims);  // an order is known by its rank
    dims.back() = static_cast<memory::dim>(count);
    const memory::desc desc(dims, memory::data_type::f32, strides);
    return get(node, desc, desc, fill).get_data_handle();  // the store keeps it
}

dnnl::memory::data_type dnnl_type(DType type) {
    return type == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

dnnl::memory::desc describe(const Tensor& tensor) {
    const dnnl::memory::dim h = tensor.shape.h, w = tensor.shape.w,
                            pitch = static_cast<dnnl::memory::dim>(tensor.pitch);
    return {{tensor.n, tensor.shape.c, h, w},
            dnnl_type(tensor.type),
            dnnl::memory::dims{h * w * pitch, 1, w * pitch, pitch}};
}

dnnl::memory::desc describe(int n, Shape shape, DType type) {
    return {{n, shape.c, shape.h, shape.w}, dnnl_type(type), dnnl::memory::format_tag::nhwc};
}

Tensor dense_at(const Tensor& tensor, void* data) {
    Tensor dense = tensor;
    dense.data = data;
    dense.pitch = tensor.shape.c;
    return dense;
}

std::size_t dense_bytes(const Tensor& tensor) { return aligned(tensor.size() * bytes(tensor.type)); }

int thread_index() {
#ifdef DN_HAVE_OMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

void with_team(int threads, const std::function<void()>& work) {
    const auto run = [&] {
        const TeamSize team(threads);
        work();
    };
    if (!in_forked_child()) return run();
    std::exception_ptr failure;
    std::thread([&] {
        try {
            run();
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace dn::cpu
