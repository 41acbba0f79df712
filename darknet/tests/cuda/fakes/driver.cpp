// SPDX-License-Identifier: Apache-2.0
// libcuda for tests.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "../host_kernels.hpp"
#include "gpu.hpp"

namespace dn::fakes {
namespace {

using namespace cuda::abi;

constexpr int kVersion = 12040;
constexpr std::size_t kAlignment = 256;

char* at(Address address) { return reinterpret_cast<char*>(address); }

// Numbers of the devices that CUDA_VISIBLE_DEVICES leaves visible.
std::vector<int> visible() {
    const int installed = static_cast<int>(setting("devices"));
    std::vector<int> numbers;
    if (const char* listed = std::getenv("CUDA_VISIBLE_DEVICES")) {
        std::istringstream stream(listed);
        for (std::string word; std::getline(stream, word, ',') && std::stoi(word) < installed;)
            numbers.push_back(std::stoi(word));
    } else {
        for (int number = 0; number < installed; ++number) numbers.push_back(number);
    }
    return numbers;
}

bool is_allocated(const void* address, std::size_t bytes) {
    const char* first = static_cast<const char*>(address);
    auto block = state().blocks.upper_bound(first);
    if (block == state().blocks.begin()) return false;
    --block;
    return first + bytes <= block->first + block->second.bytes;
}

int copy(const void* from, void* to, std::size_t bytes, const void* on_device, StreamHandle* stream) {
    if (!is_allocated(on_device, bytes)) return kInvalidValue;
    enqueue(stream, [=] { std::memcpy(to, from, bytes); });
    return state().broken;
}

// What a broken device has not given back is lost to its users.
void repair() {
    State& now = state();
    if (!now.broken) return;
    for (const auto& block : now.blocks) std::free(const_cast<char*>(block.first));
    for (void* memory : now.pinned) std::free(memory);
    for (const auto& stream : now.streams) stream->work.clear();
    now.blocks.clear();
    now.pinned.clear();
    now.used = 0;
    now.broken = 0;
}

}  // namespace

State& state() {
    static State instance;
    return instance;
}

bool Block::intact(const char* start) const {
    return std::all_of(start + bytes, start + bytes + kGuard,
                       [](char byte) { return static_cast<unsigned char>(byte) == kGuardByte; });
}

World::World()
    : settings{{"devices", 1},   {"arch", 75},    {"driver", kVersion}, {"memory", 1LL << 31},
               {"dnn", 91002},   {"nccl", 22703}, {"schedule", 2},      {"fail", 0},
               {"nccl_fail", 0}, {"engines", 99}, {"slow_engine", -1}} {
    for (auto& [name, value] : settings)
        if (const char* given = std::getenv(("DN_FAKE_" + name).c_str())) value = std::atoll(given);
}

World& world() {
    static World instance;
    return instance;
}

long long setting(const char* name) {
    const std::lock_guard<std::recursive_mutex> lock(world().mutex);
    return world().settings[name];
}

void need_allocated(const void* address, std::size_t bytes) {
    if (!is_allocated(address, bytes)) throw std::runtime_error("an access outside of the memory of the device");
}

}  // namespace dn::fakes

using namespace dn::fakes;
using namespace dn::cuda::abi;

DN_FAKE void fake_set(const char* name, long long value) {
    DN_LOCKED;
    world().settings[name] = value;
    if (!std::strcmp(name, "fail")) repair();
}
DN_FAKE long long fake_count(const char* name) {
    DN_LOCKED;
    return !std::strcmp(name, "used") ? static_cast<long long>(state().used) : world().counts[name];
}

DN_FAKE int cuInit(unsigned) { return visible().empty() ? kNoDevice : kSuccess; }
DN_FAKE int cuDriverGetVersion(int* version) {
    *version = static_cast<int>(setting("driver"));
    return kSuccess;
}
DN_FAKE int cuGetErrorName(int result, const char** name) {
    *name = result == kIllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR";
    return kSuccess;
}
DN_FAKE int cuGetErrorString(int, const char** meaning) {
    *meaning = "an error of the fake driver";
    return kSuccess;
}
DN_FAKE int cuDeviceGetCount(int* count) {
    *count = static_cast<int>(visible().size());
    return kSuccess;
}
DN_FAKE int cuDeviceGet(int* device, int index) {
    *device = index;
    return index < static_cast<int>(visible().size()) ? kSuccess : kInvalidValue;
}
DN_FAKE int cuDeviceGetUuid_v2(Uuid* uuid, int device) {
    *uuid = {};
    uuid->bytes[0] = static_cast<char>(visible().at(static_cast<std::size_t>(device)));
    return kSuccess;
}
DN_FAKE int cuDeviceGetName(char* name, int length, int) {
    std::snprintf(name, static_cast<std::size_t>(length), "fake GPU");
    return kSuccess;
}
DN_FAKE int cuDeviceGetAttribute(int* value, int attribute, int) {
    constexpr int kTen = 10;
    const int arch = static_cast<int>(setting("arch"));
    *value = attribute == kAttributeMajor ? arch / kTen : attribute == kAttributeMinor ? arch % kTen : 1;
    return kSuccess;
}
DN_FAKE int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
    *bytes = static_cast<std::size_t>(setting("memory"));
    return kSuccess;
}
DN_FAKE int cuDevicePrimaryCtxRetain(ContextHandle** context, int device) {
    static char contexts[64];
    *context = reinterpret_cast<ContextHandle*>(contexts + device);
    return kSuccess;
}
DN_FAKE int cuDevicePrimaryCtxRelease_v2(int) { return kSuccess; }
DN_FAKE int cuCtxPushCurrent_v2(ContextHandle*) { return kSuccess; }
DN_FAKE int cuCtxPopCurrent_v2(ContextHandle**) { return kSuccess; }

DN_FAKE int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    DN_LOCKED;
    *total = static_cast<std::size_t>(setting("memory"));
    *free = *total - state().used;
    return kSuccess;
}
DN_FAKE int cuMemAlloc_v2(Address* address, std::size_t bytes) {
    DN_LOCKED;
    if (!bytes) return kInvalidValue;
    if (captures()) return kCaptureUnsupported;
    if (state().used + bytes > static_cast<std::size_t>(setting("memory"))) return kOutOfMemory;
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, bytes + kGuard)) return kOutOfMemory;
    std::memset(memory, kUnwritten, bytes);
    std::memset(static_cast<char*>(memory) + bytes, kGuardByte, kGuard);
    state().blocks[static_cast<char*>(memory)] = {bytes};
    state().used += bytes;
    *address = reinterpret_cast<Address>(memory);
    return kSuccess;
}
DN_FAKE int cuMemFree_v2(Address address) {
    DN_LOCKED;
    const auto block = state().blocks.find(at(address));
    if (block == state().blocks.end()) return kInvalidValue;
    run_all();  // as a driver does
    state().used -= block->second.bytes;
    state().blocks.erase(block);
    std::free(at(address));
    return kSuccess;
}
DN_FAKE int cuMemHostAlloc(void** memory, std::size_t bytes, unsigned) {
    DN_LOCKED;
    *memory = std::malloc(bytes);
    if (*memory) state().pinned.insert(*memory);
    return *memory ? kSuccess : kOutOfMemory;
}
DN_FAKE int cuMemFreeHost(void* memory) {
    DN_LOCKED;
    run_all();
    state().pinned.erase(memory);
    std::free(memory);
    return kSuccess;
}
DN_FAKE int cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, StreamHandle* stream) {
    DN_LOCKED;
    world().counts["uploaded"] += static_cast<long long>(bytes);
    return copy(from, at(to), bytes, at(to), stream);
}
DN_FAKE int cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, StreamHandle* stream) {
    DN_LOCKED;
    world().counts["downloaded"] += static_cast<long long>(bytes);
    return copy(at(from), to, bytes, at(from), stream);
}
DN_FAKE int cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, StreamHandle* stream) {
    DN_LOCKED;
    return is_allocated(at(to), bytes) ? copy(at(from), at(to), bytes, at(from), stream) : kInvalidValue;
}
DN_FAKE int cuMemsetD8Async(Address to, unsigned char value, std::size_t bytes, StreamHandle* stream) {
    DN_LOCKED;
    if (!is_allocated(at(to), bytes)) return kInvalidValue;
    enqueue(stream, [=] { std::memset(at(to), value, bytes); });
    return state().broken;
}

DN_FAKE int cuModuleLoadData(ModuleHandle** module, const void*) {
    DN_LOCKED;
    static char modules;
    ++world().counts["modules"];
    *module = reinterpret_cast<ModuleHandle*>(&modules);
    return kSuccess;
}
DN_FAKE int cuModuleUnload(ModuleHandle*) { return kSuccess; }
DN_FAKE int cuModuleGetFunction(FunctionHandle** function, ModuleHandle*, const char* name) {
    const dn::test::HostKernel* kernel = dn::test::find_kernel(name);
    *function = reinterpret_cast<FunctionHandle*>(const_cast<dn::test::HostKernel*>(kernel));
    return kernel ? kSuccess : kNotFound;
}
DN_FAKE int cuLaunchKernel(FunctionHandle* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned x,
                           unsigned y, unsigned z, unsigned, StreamHandle* stream, void** arguments, void**) {
    DN_LOCKED;
    constexpr unsigned kMostThreads = 1024, kMostBlocks = 65535;  // in y and z
    if (!grid_x || !grid_y || !grid_z || !x || !y || !z || x * y * z > kMostThreads) return kInvalidValue;
    if (grid_y > kMostBlocks || grid_z > kMostBlocks) return kInvalidValue;
    of(stream)->computes = true;
    const auto* kernel = reinterpret_cast<const dn::test::HostKernel*>(function);
    const char* first = static_cast<const char*>(arguments[0]);
    std::vector<char> argument(first, first + kernel->argument_size);  // copied at the launch, as a driver does
    ++world().counts["launches"];
    enqueue(stream, [=]() mutable {
        void* copied[] = {argument.data()};
        const auto schedule = static_cast<dn::test::Schedule>(setting("schedule"));
        dn::test::launch({grid_x, grid_y, grid_z}, {x, y, z}, [&] { kernel->call(copied); }, {schedule});
    });
    return state().broken;
}
