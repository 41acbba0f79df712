// SPDX-License-Identifier: Apache-2.0
// The harness itself: it must find what it is there for.
#include <sys/wait.h>
#include <unistd.h>

#include "kernels.hpp"

#include "backends/cuda/kernels/activations.cuh"

using namespace dn;
using namespace dn::test;

namespace {

constexpr cuda::Dim3 kOne{1, 1, 1};

// Whether the process that runs `action` ends by an error.
template <class Action>
bool ends_the_process(const Action& action) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(STDERR_FILENO);
        action();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status != 0;
}

// Reverses the values of a block through shared memory.
void reverse(const float* from, float* to) {
    constexpr int count = 64;
    DN_SHARED(float, values, count);
    const int i = static_cast<int>(cuda::threadIdx.x);
    values[i] = from[i];
    cuda::__syncthreads();
    to[i] = values[count - 1 - i];
}

}  // namespace

TEST_CASE("host cuda: a removed barrier changes results with the order of threads") {
    const Floats from = random_values(64, 1);
    const auto run = [&](LaunchOptions options) {
        Floats to(from.size());
        launch(
            kOne, {64, 1, 1}, [&] { reverse(from.data(), to.data()); }, options);
        return to;
    };
    const Floats expected(from.rbegin(), from.rend());
    CHECK(under_every_schedule(run) == expected);
    for (const Schedule schedule : kSchedules) CHECK_FALSE(same_bits(run({schedule, 0}), expected));
}

TEST_CASE("host cuda: a barrier that some threads miss is an error") {
    for (const Schedule schedule : kSchedules) {
        const auto odd = [] {
            if (cuda::threadIdx.x % 2) cuda::__syncthreads();
        };
        CHECK_THROWS_AS(launch(kOne, {64, 1, 1}, odd, {schedule}), std::runtime_error);
        const auto half_a_warp = [] {
            if (cuda::threadIdx.x % 32 < 16) cuda::__shfl_down_sync(0xFFFFFFFFu, 0, 1);
        };
        CHECK_THROWS_AS(launch(kOne, {64, 1, 1}, half_a_warp, {schedule}), std::runtime_error);
    }
}

TEST_CASE("host cuda: shared memory is NaN in each block until it is written, and has bounds") {
    int unwritten = 0;
    const auto body = [&] {
        DN_SHARED(float, values, 4);
        unwritten += std::isnan(values[static_cast<int>(cuda::threadIdx.x)]);
        values[static_cast<int>(cuda::threadIdx.x)] = 1;
    };
    launch({3, 1, 1}, {4, 1, 1}, body);
    CHECK(unwritten == 12);
    CHECK_THROWS_AS(launch(kOne, {5, 1, 1}, body), std::runtime_error);
}

TEST_CASE("host cuda: a write outside of a device's memory is found") {
    const auto overrun = [] {
        DeviceMemory memory(10 * sizeof(float));
        cuda::ActivateArgs args{};
        args.src = args.dst = {memory.data(), 1};
        args.pixels = 11;
        args.channels = 1;
        args.activation = cuda::kLogistic;
        launch_kernel(cuda::kernel::activate, Storage::f32, kOne, args, {});
        if (!memory.intact()) ::_exit(1);
    };
    CHECK(ends_the_process(overrun));
}

TEST_CASE("host cuda: the sum of a block is exact, and each of its barriers is needed") {
    const auto sum_twice = [](LaunchOptions options) {
        Floats sums(4);
        launch(
            {2, 1, 1}, {cuda::kThreads, 1, 1},
            [&] {
                const float first = cuda::block_sum(static_cast<float>(cuda::threadIdx.x + cuda::blockIdx.x));
                const float second = cuda::block_sum(static_cast<float>(cuda::threadIdx.x));
                if (cuda::threadIdx.x == 0) {
                    sums[2 * cuda::blockIdx.x] = first;
                    sums[2 * cuda::blockIdx.x + 1] = second;
                }
            },
            options);
        return sums;
    };
    const Floats expected = {32640, 32640, 32896, 32640};
    CHECK(under_every_schedule(sum_twice) == expected);
}
