// SPDX-License-Identifier: Apache-2.0
#include "nccl.hpp"

#include <cstring>
#include <thread>
#include <utility>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

std::string name_of(const Device& device) { return text("cuda:", device.facts().index); }

std::chrono::steady_clock::time_point after(double seconds) {
    using std::chrono::steady_clock;
    return steady_clock::now() +
           std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds));
}

void require_nccl(const Device& device) {
    const std::string& missing = device.libraries().nccl_missing;
    if (!missing.empty()) throw Error(Status::backend, name_of(device), missing);
}

}  // namespace

WorkerGroupId Group::make_id(const Device& device) {
    require_nccl(device);
    const Entered here(device);
    abi::GroupId id{};
    const abi::Nccl& nccl = device.libraries().nccl;
    if (const int result = nccl.ncclGetUniqueId(&id))
        throw Error(Status::backend, name_of(device),
                    text("ncclGetUniqueId failed: ", nccl.ncclGetErrorString(result)));
    WorkerGroupId bytes;
    static_assert(sizeof id == sizeof bytes);
    std::memcpy(bytes.data(), &id, sizeof id);
    return bytes;
}

Group::Group(std::shared_ptr<Device> device, const WorkerGroupId& id, int number, int count, double limit)
    : device_(std::move(device)) {
    require_nccl(*device_);
    const Entered here(*device_);
    abi::GroupId bytes{};
    std::memcpy(&bytes, id.data(), sizeof bytes);
    abi::GroupConfig config;
    constexpr char kCall[] = "ncclCommInitRankConfig";
    settle(nccl().ncclCommInitRankConfig(&comm_, count, bytes, number, &config), kCall, after(limit));
}

void Group::sum(float* values, std::size_t count, const Stream& stream, double limit) {
    if (!comm_) fail("the workers are not connected, since an earlier sum of gradients failed");
    const Entered here(*device_);
    const Clock::time_point end = after(limit);
    settle(nccl().ncclAllReduce(values, values, count, abi::kGroupFloat, abi::kGroupSum, comm_, stream.handle()),
           "ncclAllReduce", end);
    wait_for(stream, end);
}

// Waits until NCCL has taken a call on.
void Group::settle(int result, const char* call, Clock::time_point end) {
    while (result == abi::kGroupInProgress) {
        rest(call, end);
        int state = abi::kSuccess;
        check(nccl().ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
        result = state;
    }
    check(result, call);
}

void Group::wait_for(const Stream& stream, Clock::time_point end) {
    for (;;) {
        const int result = device_->driver().cuStreamQuery(stream.handle());
        if (result != abi::kNotReady) return device_->check(result, "cuStreamQuery");
        int state = abi::kSuccess;
        check(nccl().ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
        if (state != abi::kGroupInProgress) check(state, "ncclAllReduce");
        rest("ncclAllReduce", end);
    }
}

void Group::check(int result, const char* call) {
    if (result == abi::kSuccess) return;
    const char* more = comm_ ? nccl().ncclGetLastError(comm_) : "";
    const bool has_more = more && *more;
    fail(text(call, " failed: ", nccl().ncclGetErrorString(result), has_more ? ": " : "", has_more ? more : ""));
}

void Group::rest(const char* call, Clock::time_point end) {
    if (Clock::now() > end) fail(text(call, " did not end in time: another worker is silent"));
    constexpr std::chrono::microseconds kNap(50);
    std::this_thread::sleep_for(kNap);
}

void Group::fail(const std::string& reason) {
    leave();
    throw Error(Status::backend, name_of(*device_), reason);
}

// Abort, and not destroy, which would wait for the others; what has ended stays as it is.
void Group::leave() noexcept {
    if (!comm_) return;
    quietly(*device_, [this](const abi::Driver&) { nccl().ncclCommAbort(comm_); });
    comm_ = nullptr;
}

}  // namespace dn::cuda
