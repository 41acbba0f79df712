// SPDX-License-Identifier: Apache-2.0
#include "host_cuda.hpp"

#include <ucontext.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "sanitizers.hpp"

#if defined(DN_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(DN_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace dn::cuda {

thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

}  // namespace dn::cuda

namespace dn::test {
namespace {

using cuda::Dim3;

enum class Wait { none, block, warp };

constexpr std::size_t kStackBytes = std::size_t{1} << 18;

// A stack and what runs on it. Sanitizers must know of every change of stacks.
class Fibre {
public:
    Fibre() = default;  // the stack of the caller
    explicit Fibre(void (*entry)()) : stack_(new char[kStackBytes]) {
        getcontext(&context_);
        context_.uc_stack.ss_sp = stack_.get();
        context_.uc_stack.ss_size = kStackBytes;
        context_.uc_link = nullptr;
        makecontext(&context_, entry, 0);
#if defined(DN_TSAN)
        tsan_ = __tsan_create_fiber(0);
#endif
#if defined(DN_ASAN)
        bottom_ = stack_.get();
        size_ = kStackBytes;
#endif
    }
    ~Fibre() {
#if defined(DN_TSAN)
        if (stack_) __tsan_destroy_fiber(tsan_);
#endif
    }
    Fibre(const Fibre&) = delete;
    Fibre& operator=(const Fibre&) = delete;

    // From this fibre to `next`; returns when something changes back.
    void change_to(Fibre& next) {
        next.previous_ = this;
#if defined(DN_TSAN)
        if (!stack_) tsan_ = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(next.tsan_, 0);
#endif
#if defined(DN_ASAN)
        __sanitizer_start_switch_fiber(&fake_stack_, next.bottom_, next.size_);
#endif
        swapcontext(&context_, &next.context_);
        arrived();
    }

    // To be called where a fibre begins.
    void arrived() {
#if defined(DN_ASAN)
        __sanitizer_finish_switch_fiber(fake_stack_, &previous_->bottom_, &previous_->size_);
#endif
    }

    int thread = -1;  // that waits here

private:
    ucontext_t context_{};
    std::unique_ptr<char[]> stack_;
    Fibre* previous_ = nullptr;
#if defined(DN_TSAN)
    void* tsan_ = nullptr;
#endif
#if defined(DN_ASAN)
    void* fake_stack_ = nullptr;
    const void* bottom_ = nullptr;
    std::size_t size_ = 0;
#endif
};

// Runs the blocks of a launch, one after the other. A fibre begins threads until one of them waits; the next ones
// begin on another fibre, so that a kernel without barriers needs a single one.
class Machine {
public:
    Machine(Dim3 block, const std::function<void()>& body, const LaunchOptions& options)
        : block_(block), body_(body), options_(options), threads_(std::size_t{block.x} * block.y * block.z) {}

    void run_block();
    void barrier() {
        if (threads_[current_].barriers++ != options_.skipped_barrier) wait(Wait::block);
    }
    float shuffle_down(float value, unsigned step) {
        threads_[current_].lane_value = value;
        wait(Wait::warp);
        const std::size_t lane = current_ % cuda::kLanes, from = current_ + step;
        const bool inside = lane + step < cuda::kLanes && from < threads_.size();
        const float result = inside ? threads_[from].lane_value : value;
        wait(Wait::warp);
        return result;
    }
    std::vector<int> order(std::size_t count);

private:
    struct Thread {
        Wait waiting = Wait::none;
        bool done = false;
        int barriers = 0;
        float lane_value = 0;
        Fibre* fibre = nullptr;
    };

    static void work();
    void begin_threads();
    void enter(int thread);
    void wait(Wait what);
    void resume(Fibre& fibre);
    void release();
    bool release_block();
    bool release_warps();

    Dim3 block_;
    const std::function<void()>& body_;
    LaunchOptions options_;
    std::vector<Thread> threads_;
    std::vector<int> order_;
    std::size_t next_ = 0;  // of order_, to begin
    int current_ = 0;
    Fibre scheduler_;
    Fibre* running_ = nullptr;
    std::vector<std::unique_ptr<Fibre>> fibres_;
    std::vector<Fibre*> idle_;
    std::exception_ptr error_;
    std::mt19937 random_{7};
};

thread_local Machine* machine = nullptr;
thread_local unsigned long long serial = 0;

std::vector<int> Machine::order(std::size_t count) {
    std::vector<int> turns(count);
    std::iota(turns.begin(), turns.end(), 0);
    if (options_.schedule == Schedule::descending) std::reverse(turns.begin(), turns.end());
    if (options_.schedule == Schedule::shuffled) std::shuffle(turns.begin(), turns.end(), random_);
    return turns;
}

void Machine::run_block() {
    ++serial;
    std::fill(threads_.begin(), threads_.end(), Thread{});
    order_ = order(threads_.size());
    next_ = 0;
    while (next_ < order_.size()) {
        if (idle_.empty()) {
            fibres_.push_back(std::make_unique<Fibre>(work));
            idle_.push_back(fibres_.back().get());
        }
        Fibre& fibre = *idle_.back();
        idle_.pop_back();
        resume(fibre);
    }
    const auto done = [](const Thread& thread) { return thread.done; };
    while (!std::all_of(threads_.begin(), threads_.end(), done)) {
        release();
        for (const int thread : order(threads_.size()))
            if (!threads_[thread].done && threads_[thread].waiting == Wait::none) {
                enter(thread);
                resume(*threads_[thread].fibre);
            }
    }
}

void Machine::enter(int thread) {
    const auto index = static_cast<unsigned>(thread);
    current_ = thread;
    cuda::threadIdx = {index % block_.x, index / block_.x % block_.y, index / (block_.x * block_.y)};
}

void Machine::resume(Fibre& fibre) {
    running_ = &fibre;
    scheduler_.change_to(fibre);
    if (fibre.thread < 0) idle_.push_back(&fibre);
    if (error_) std::rethrow_exception(error_);
}

void Machine::work() {
    Fibre& fibre = *machine->running_;
    fibre.arrived();
    for (;;) {
        machine->begin_threads();
        fibre.thread = -1;
        fibre.change_to(machine->scheduler_);
    }
}

void Machine::begin_threads() {
    while (next_ < order_.size() && !error_) {
        enter(order_[next_++]);
        try {
            body_();
        } catch (...) {  // no exception may leave a fibre
            error_ = std::current_exception();
        }
        threads_[current_].done = true;
    }
}

void Machine::wait(Wait what) {
    Fibre& fibre = *running_;
    fibre.thread = current_;
    threads_[current_].fibre = &fibre;
    threads_[current_].waiting = what;
    fibre.change_to(scheduler_);
}

// Lets threads continue; throws when none can.
void Machine::release() {
    if (!release_block() && !release_warps())
        throw std::runtime_error("a barrier that only some threads of the block or warp reach");
}

bool Machine::release_block() {
    const auto waits = [](const Thread& thread) { return !thread.done && thread.waiting == Wait::block; };
    if (!std::all_of(threads_.begin(), threads_.end(), waits)) return false;
    for (Thread& thread : threads_) thread.waiting = Wait::none;
    return true;
}

// A warp continues when all its lanes shuffle.
bool Machine::release_warps() {
    bool released = false;
    for (std::size_t first = 0; first < threads_.size(); first += cuda::kLanes) {
        const auto begin = threads_.begin() + static_cast<std::ptrdiff_t>(first);
        const auto end = begin + std::min<std::ptrdiff_t>(cuda::kLanes, threads_.end() - begin);
        if (!std::all_of(begin, end, [](const Thread& lane) { return lane.waiting == Wait::warp; })) continue;
        std::for_each(begin, end, [](Thread& lane) { lane.waiting = Wait::none; });
        released = true;
    }
    return released;
}

}  // namespace

unsigned long long block_serial() { return serial; }

void launch(Dim3 grid, Dim3 block, const std::function<void()>& body, const LaunchOptions& options) {
    Machine blocks(block, body, options);
    struct Installed {
        explicit Installed(Machine* now) : before(machine) { machine = now; }
        ~Installed() { machine = before; }
        Machine* before;
    } const installed(&blocks);
    cuda::gridDim = grid;
    cuda::blockDim = block;
    for (const int b : blocks.order(std::size_t{grid.x} * grid.y * grid.z)) {
        const auto index = static_cast<unsigned>(b);
        cuda::blockIdx = {index % grid.x, index / grid.x % grid.y, index / (grid.x * grid.y)};
        blocks.run_block();
    }
}

}  // namespace dn::test

namespace dn::cuda {

void __syncthreads() { test::machine->barrier(); }

float __shfl_down_sync(unsigned, float value, unsigned step) { return test::machine->shuffle_down(value, step); }

}  // namespace dn::cuda
