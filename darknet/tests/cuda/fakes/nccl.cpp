// SPDX-License-Identifier: Apache-2.0
// NCCL for tests: its groups meet in a folder, whose path is their id. A worker leaves its values there in a file, and
// adds those of all in the order of their numbers when they have come.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "fakes.hpp"

using namespace dn::fakes;
using namespace dn::cuda::abi;

namespace {

namespace fs = std::filesystem;

constexpr int kInvalid = 4;

struct Group {
    fs::path folder;
    int number, count;
    long long sums = 0;
    bool left = false;

    fs::path file(const std::string& what, int worker) const { return folder / (what + std::to_string(worker)); }
    bool all_left(const std::string& what) const {
        for (int worker = 0; worker < count; ++worker)
            if (!fs::exists(file(what, worker))) return false;
        return true;
    }
    // Appears complete.
    void leave(const std::string& what, const void* data, std::size_t bytes) const {
        const fs::path path = file(what, number), part = file("part", number);
        std::ofstream(part, std::ios::binary).write(static_cast<const char*>(data), static_cast<long>(bytes));
        fs::rename(part, path);
    }
    void add(const std::string& what, int worker, float* values, std::size_t floats) const {
        std::vector<float> found(floats);
        std::ifstream(file(what, worker), std::ios::binary)
            .read(reinterpret_cast<char*>(found.data()), static_cast<long>(floats * sizeof(float)));
        for (std::size_t i = 0; i < floats; ++i) values[i] = worker ? values[i] + found[i] : found[i];
    }
};

// Folders of the groups whose ids this process made.
struct Folders {
    std::vector<fs::path> made;
    ~Folders() {
        std::error_code ignored;
        for (const fs::path& folder : made) fs::remove_all(folder, ignored);
    }
};

Folders& folders() {
    static Folders instance;
    return instance;
}

std::shared_ptr<Group>& of(CommHandle* comm) { return *reinterpret_cast<std::shared_ptr<Group>*>(comm); }

void sum(const Group& group, const std::string& what, bool* posted, float* values, std::size_t count) {
    if (group.left) return;
    need_allocated(values, count * sizeof(float));
    if (!*posted) group.leave(what, values, count * sizeof(float));
    *posted = true;
    if (!group.all_left(what)) throw NotReady();
    for (int worker = 0; worker < group.count; ++worker) group.add(what, worker, values, count);
}

}  // namespace

DN_FAKE int ncclGetVersion(int* version) {
    *version = static_cast<int>(setting("nccl"));
    return kSuccess;
}
DN_FAKE const char* ncclGetErrorString(int) { return "an error of the fake NCCL"; }
DN_FAKE const char* ncclGetLastError(CommHandle*) { return ""; }
DN_FAKE int ncclGetUniqueId(GroupId* id) {
    std::string path = (fs::temp_directory_path() / "fake-nccl-XXXXXX").string();
    if (path.size() >= sizeof id->bytes || !mkdtemp(path.data())) return kInvalid;
    std::memcpy(id->bytes, path.c_str(), path.size() + 1);
    folders().made.emplace_back(path);
    return kSuccess;
}
DN_FAKE int ncclCommInitRankConfig(CommHandle** comm, int count, GroupId id, int number, GroupConfig* config) {
    if (config->size != sizeof *config || config->magic != GroupConfig().magic || config->blocking) return kInvalid;
    auto group = std::make_unique<std::shared_ptr<Group>>(std::make_shared<Group>(Group{id.bytes, number, count}));
    (*group)->leave("join", "", 0);
    *comm = reinterpret_cast<CommHandle*>(group.release());
    return kGroupInProgress;
}
DN_FAKE int ncclCommGetAsyncError(CommHandle* comm, int* state) {
    *state = static_cast<int>(setting("nccl_fail"));
    if (!*state && !of(comm)->all_left("join")) *state = kGroupInProgress;
    return kSuccess;
}
DN_FAKE int ncclCommAbort(CommHandle* comm) {
    const std::unique_ptr<std::shared_ptr<Group>> group(&of(comm));
    (*group)->left = true;
    return kSuccess;
}
DN_FAKE int ncclAllReduce(const void* from, void* to, std::size_t count, int type, int operation, CommHandle* comm,
                          StreamHandle* stream) {
    if (from != to || type != kGroupFloat || operation != kGroupSum) return kInvalid;
    const std::lock_guard<std::recursive_mutex> lock(world().mutex);
    const std::shared_ptr<Group> group = of(comm);
    const std::string what = "sum" + std::to_string(group->sums++) + "-";
    ++world().counts["all_reduces"];
    auto posted = std::make_shared<bool>(false);
    enqueue(stream, [=] { sum(*group, what, posted.get(), static_cast<float*>(to), count); });
    return kSuccess;
}
