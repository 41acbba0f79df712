// SPDX-License-Identifier: Apache-2.0
// libcuda for tests.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "../host_kernels.hpp"
#include "../sanitizers.hpp"
#include "fakes.hpp"

namespace dn::fakes {
namespace {

using namespace cuda::abi;

constexpr int kVersion = 12040;
constexpr std::size_t kAlignment = 256;
#if defined(DN_ASAN)
constexpr std::size_t kGuard = 0;  // AddressSanitizer watches the bytes behind an allocation
#else
constexpr std::size_t kGuard = 256;
#endif
constexpr unsigned char kGuardByte = 0xA5, kUnwritten = 0xFF;  // NaN in every type

using Work = std::deque<std::function<void()>>;

// Work that is captured does not run: it becomes a graph.
struct Stream {
    Work work, captured;
    long long done = 0;
    bool capturing = false, refused = false;  // a call that a capture does not permit
};

// Behind so much work of a stream, and when that was done on the clock of the fake GPU.
struct Event {
    Stream* stream = nullptr;
    long long place = 0;
    std::shared_ptr<long long> microseconds = std::make_shared<long long>(0);
};

struct Block {
    std::size_t bytes;
    bool intact(const char* start) const {
        return std::all_of(start + bytes, start + bytes + kGuard,
                           [](char byte) { return static_cast<unsigned char>(byte) == kGuardByte; });
    }
};

struct State {
    std::map<const char*, Block> blocks;  // by address
    std::set<std::unique_ptr<Stream>> streams;
    std::set<std::unique_ptr<Event>> events;
    std::set<std::unique_ptr<Work>> graphs;  // and what is made of them
    std::set<void*> pinned;
    std::size_t used = 0;
    int broken = 0;  // the sticky error
};

State& state() {
    static State instance;
    return instance;
}

Stream* of(StreamHandle* stream) { return reinterpret_cast<Stream*>(stream); }
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

// The first `count` of what waits; by default all.
int run(Stream& stream, long long count = -1) {
    State& now = state();
    while (!stream.work.empty() && !now.broken && count-- != 0) {
        const std::function<void()> work = std::move(stream.work.front());
        stream.work.pop_front();
        try {
            work();
        } catch (const NotReady&) {
            stream.work.push_front(work);
            return kNotReady;
        } catch (const std::exception& error) {
            std::fprintf(stderr, "fake GPU: %s\n", error.what());
            now.broken = kIllegalAddress;
        }
        ++stream.done;
    }
    for (const auto& [start, block] : now.blocks)
        if (!block.intact(start)) now.broken = kIllegalAddress;
    long long& fail = world().settings["fail"];
    if (fail) now.broken = static_cast<int>(fail);
    fail = 0;
    return now.broken;
}

// Whether a capture refuses a call that waits or allocates.
bool captures() {
    bool any = false;
    for (const auto& stream : state().streams) {
        stream->refused |= stream->capturing;
        any |= stream->capturing;
    }
    return any;
}

int run_all() {
    for (const auto& stream : state().streams) run(*stream);
    return state().broken;
}

template <class T>
void erase(std::set<std::unique_ptr<T>>& owners, const void* owned) {
    for (auto entry = owners.begin(); entry != owners.end(); ++entry)
        if (entry->get() == owned) {
            owners.erase(entry);
            return;
        }
}

template <class T, class Handle>
int give(std::set<std::unique_ptr<T>>& owners, T value, Handle** handle) {
    auto made = std::make_unique<T>(std::move(value));
    *handle = reinterpret_cast<Handle*>(made.get());
    owners.insert(std::move(made));
    return kSuccess;
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

void enqueue(StreamHandle* stream, std::function<void()> work) {
    (of(stream)->capturing ? of(stream)->captured : of(stream)->work).push_back(std::move(work));
}

void need_allocated(const void* address, std::size_t bytes) {
    if (!is_allocated(address, bytes)) throw std::runtime_error("an access outside of the memory of the device");
}

}  // namespace dn::fakes

using namespace dn::fakes;
using namespace dn::cuda::abi;

#define DN_LOCKED const std::lock_guard<std::recursive_mutex> lock(world().mutex)

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

DN_FAKE int cuStreamCreate(StreamHandle** stream, unsigned) {
    DN_LOCKED;
    return give(state().streams, Stream{}, stream);
}
DN_FAKE int cuStreamDestroy_v2(StreamHandle* stream) {
    DN_LOCKED;
    erase(state().streams, of(stream));
    return kSuccess;
}
DN_FAKE int cuStreamQuery(StreamHandle* stream) {
    DN_LOCKED;
    if (captures()) return kCaptureUnsupported;
    return run(*of(stream));
}
DN_FAKE int cuStreamSynchronize(StreamHandle* stream) {
    {
        DN_LOCKED;
        ++world().counts["synchronize"];
    }
    int result = cuStreamQuery(stream);
    for (; result == kNotReady; result = cuStreamQuery(stream)) std::this_thread::yield();
    return result;
}
DN_FAKE int cuEventCreate(EventHandle** event, unsigned) {
    DN_LOCKED;
    return give(state().events, Event{}, event);
}
DN_FAKE int cuEventDestroy_v2(EventHandle* event) {
    DN_LOCKED;
    erase(state().events, event);
    return kSuccess;
}
DN_FAKE int cuEventRecord(EventHandle* event, StreamHandle* stream) {
    DN_LOCKED;
    Event& point = *reinterpret_cast<Event*>(event);
    point.stream = of(stream);
    enqueue(stream, [time = point.microseconds] { *time = world().counts["microseconds"]; });
    point.place = of(stream)->done + static_cast<long long>(of(stream)->work.size());
    return state().broken;
}
DN_FAKE int cuEventSynchronize(EventHandle* event) {
    DN_LOCKED;
    const Event& point = *reinterpret_cast<Event*>(event);
    if (captures()) return kCaptureUnsupported;
    return point.stream ? run(*point.stream, std::max(0LL, point.place - point.stream->done)) : state().broken;
}
DN_FAKE int cuEventElapsedTime(float* milliseconds, EventHandle* first, EventHandle* last) {
    DN_LOCKED;
    const auto time = [](EventHandle* event) { return *reinterpret_cast<Event*>(event)->microseconds; };
    *milliseconds = static_cast<float>(time(last) - time(first)) / 1000;
    return kSuccess;
}

DN_FAKE int cuStreamBeginCapture_v2(StreamHandle* stream, int) {
    DN_LOCKED;
    of(stream)->capturing = true;
    of(stream)->refused = false;
    return state().broken;
}
DN_FAKE int cuStreamEndCapture(StreamHandle* stream, GraphHandle** graph) {
    DN_LOCKED;
    Work captured = std::move(of(stream)->captured);
    of(stream)->captured.clear();
    of(stream)->capturing = false;
    *graph = nullptr;
    if (of(stream)->refused || world().settings["refuse_capture"]) return kCaptureUnsupported;
    return give(state().graphs, std::move(captured), graph);
}
DN_FAKE int cuGraphInstantiateWithFlags(GraphExecHandle** executable, GraphHandle* graph, unsigned long long) {
    DN_LOCKED;
    ++world().counts["graphs"];
    return give(state().graphs, *reinterpret_cast<Work*>(graph), executable);
}
DN_FAKE int cuGraphLaunch(GraphExecHandle* executable, StreamHandle* stream) {
    DN_LOCKED;
    ++world().counts["graph_launches"];
    for (const std::function<void()>& work : *reinterpret_cast<Work*>(executable)) enqueue(stream, work);
    return state().broken;
}
DN_FAKE int cuGraphExecDestroy(GraphExecHandle* executable) {
    DN_LOCKED;
    erase(state().graphs, executable);
    return kSuccess;
}
DN_FAKE int cuGraphDestroy(GraphHandle* graph) {
    DN_LOCKED;
    erase(state().graphs, graph);
    return kSuccess;
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
    constexpr unsigned kMostThreads = 1024;
    if (!grid_x || !grid_y || !grid_z || !x || !y || !z || x * y * z > kMostThreads) return kInvalidValue;
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
