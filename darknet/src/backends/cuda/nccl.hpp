// SPDX-License-Identifier: Apache-2.0
// The workers of a training as NCCL connects their GPUs: one process, one GPU, one group each.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "../train_state.hpp"
#include "memory.hpp"

namespace dn::cuda {

// Calls return at once, and what they began is waited for with a limit: a worker that is gone must not stop the others.
class Group {
public:
    // Of a group that no worker has joined yet. Throws Error(backend) without NCCL.
    static WorkerGroupId make_id(const Device& device);

    // Returns when all `count` workers have joined; throws Error(backend) after `limit` seconds.
    Group(std::shared_ptr<Device> device, const WorkerGroupId& id, int number, int count, double limit);
    ~Group() { leave(); }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    // Replaces values on the device by their sums over all workers, of equal bits in each, and waits for it. After a
    // failure the group is of no more use.
    void sum(float* values, std::size_t count, const Stream& stream, double limit);

private:
    using Clock = std::chrono::steady_clock;
    void settle(int result, const char* call, Clock::time_point end);
    void wait_for(const Stream& stream, Clock::time_point end);
    void check(int result, const char* call);
    void rest(const char* call, Clock::time_point end);
    [[noreturn]] void fail(const std::string& reason);
    void leave() noexcept;
    const abi::Nccl& nccl() const { return device_->libraries().nccl; }

    std::shared_ptr<Device> device_;
    abi::CommHandle* comm_ = nullptr;
};

}  // namespace dn::cuda
