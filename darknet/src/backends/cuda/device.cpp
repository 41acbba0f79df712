// SPDX-License-Identifier: Apache-2.0
#include "device.hpp"

#include <unistd.h>

#include "../../error.hpp"
#include "dnn_abi.hpp"

namespace dn::cuda {
namespace {

constexpr int kOldestArch = 50;          // Maxwell, the oldest of cuDNN 9
constexpr int kTuring = 75;              // the oldest of cuDNN 9.11 and of CUDA 13
constexpr int kDnnWithoutVolta = 91100;  // 9.11
constexpr int kCuda13 = 13000;
constexpr double kMegabyte = 1 << 20;

constexpr const char kForked[] =
    "a GPU cannot be used in a process that was forked from one that used it; make the network in this process alone, "
    "or start processes by spawn";

std::string uuid_text(const abi::Uuid& uuid) {
    constexpr char kDigits[] = "0123456789abcdef";
    constexpr unsigned kHalf = 4, kLow = 15;
    std::string out = "GPU-";
    for (const char byte : uuid.bytes) {
        out += kDigits[static_cast<unsigned char>(byte) >> kHalf];
        out += kDigits[static_cast<unsigned char>(byte) & kLow];
    }
    return out;
}

DeviceFacts facts_of(const abi::Driver& driver, int index) {
    constexpr int kLongestName = 256;
    DeviceFacts facts;
    facts.index = index;
    int device = 0;
    char name[kLongestName] = "";
    driver.cuDeviceGet(&device, index);
    driver.cuDeviceGetName(name, kLongestName, device);
    facts.name = name;
    driver.cuDeviceGetAttribute(&facts.major, abi::kAttributeMajor, device);
    driver.cuDeviceGetAttribute(&facts.minor, abi::kAttributeMinor, device);
    driver.cuDeviceTotalMem_v2(&facts.memory, device);
    abi::Uuid uuid{};
    driver.cuDeviceGetUuid_v2(&uuid, device);
    facts.uuid = uuid_text(uuid);
    return facts;
}

std::string why_missing(const Libraries& libraries) {
    if (libraries.process != getpid()) return kForked;
    return libraries.driver_missing.empty() ? libraries.dnn_missing : libraries.driver_missing;
}

// Kernels are part of the build as machine code, or NVRTC compiles them.
std::string why_no_code(const Libraries& libraries, const DeviceFacts& facts, const std::string& found) {
    if (has_code(libraries.embedded, facts.arch(), libraries.driver_version)) return "";
    std::string reason = libraries.nvrtc_missing;
    if (reason.empty() && facts.arch() < kTuring && libraries.nvrtc_version >= kCuda13)
        reason = text(found, ", which NVRTC ", cuda_version_text(libraries.nvrtc_version),
                      " no longer compiles for; expected NVRTC 12: install pydarknet[cuda]");
    if (reason.empty()) return "";
    return text(reason,
                "; or use a build of libdarknet that holds machine code for this GPU (-DDN_CUDA_EMBED=", facts.arch(),
                ")");
}

std::string why_unsupported(const Libraries& libraries, const DeviceFacts& facts) {
    const std::string found =
        text("found device ", facts.index, ", ", facts.name, ", of compute capability ", facts.major, ".", facts.minor);
    if (facts.arch() < kOldestArch) return found + ", expected 5.0 or newer";
    if (facts.arch() < kTuring && libraries.dnn_version >= kDnnWithoutVolta)
        return text(found, ", which cuDNN ", dnn_version_text(libraries.dnn_version),
                    " no longer computes on; expected cuDNN 9.10 or older: install pydarknet[cuda]");
    return why_no_code(libraries, facts, found);
}

std::string why_unavailable(const Libraries& libraries, int index) {
    std::string missing = why_missing(libraries);
    if (!missing.empty()) return missing;
    const std::vector<DeviceFacts> devices = list_devices(libraries);
    if (index < 0 || index >= static_cast<int>(devices.size()))
        return text("found device ", index, ", expected 0",
                    devices.size() > 1 ? text(" to ", devices.size() - 1) : ", the only one");
    return why_unsupported(libraries, devices[index]);
}

}  // namespace

std::vector<DeviceFacts> list_devices(const Libraries& libraries) {
    std::vector<DeviceFacts> devices;
    int count = 0;
    if (libraries.process != getpid() || !libraries.driver_missing.empty() ||
        libraries.driver.cuDeviceGetCount(&count) != abi::kSuccess)
        return devices;
    for (int index = 0; index < count; ++index) devices.push_back(facts_of(libraries.driver, index));
    return devices;
}

bool is_available(const Libraries& libraries, int index, std::string* why) {
    const std::string reason = why_unavailable(libraries, index);
    if (!reason.empty()) *why = reason;
    return reason.empty();
}

Device::Device(std::shared_ptr<const Libraries> libraries, int index) : libraries_(std::move(libraries)) {
    const std::string reason = why_unavailable(*libraries_, index);
    if (!reason.empty()) throw Error(Status::backend, text("cuda:", index), reason);
    facts_ = facts_of(driver(), index);
    int device = 0;
    check(driver().cuDeviceGet(&device, index), "cuDeviceGet");
    check(driver().cuDevicePrimaryCtxRetain(&context_, device), "cuDevicePrimaryCtxRetain");
}

Device::~Device() {
    if (context_ && libraries_->process == getpid()) driver().cuDevicePrimaryCtxRelease_v2(facts_.index);
}

Device::Memory Device::memory() const {
    const Entered here(*this);
    Memory memory{};
    check(driver().cuMemGetInfo_v2(&memory.free, &memory.total), "cuMemGetInfo");
    return memory;
}

std::string Device::name_of(int result) const {
    const char *name = nullptr, *meaning = nullptr;
    driver().cuGetErrorName(result, &name);
    driver().cuGetErrorString(result, &meaning);
    return text(name ? name : text("error ", result), meaning ? text(" (", meaning, ")") : "");
}

void Device::fail(const std::string& reason) const {
    throw Error(Status::backend, text("cuda:", facts_.index), reason);
}

void Device::check(int result, const char* call) const {
    if (result == abi::kSuccess) return;
    if (result == abi::kOutOfMemory)
        throw Error(Status::out_of_memory, text("cuda:", facts_.index),
                    text("the GPU's memory of ", static_cast<std::size_t>(facts_.memory / kMegabyte),
                         " MB is full; use a smaller batch, more subdivisions or a smaller input size"));
    if (abi::is_sticky(result)) broken_ = result;
    fail(text(call, " failed: ", name_of(result)));
}

void Device::check_dnn(int status, const char* call) const {
    if (status == dnn_abi::kSuccess) return;
    constexpr int kLongestMessage = 1024;
    char message[kLongestMessage] = "";
    dnn().cudnnGetLastErrorString(message, kLongestMessage);
    if (status == dnn_abi::kAllocFailed || status == dnn_abi::kDeviceAllocFailed) check(abi::kOutOfMemory, call);
    fail(text(call, " failed: ", dnn().cudnnGetErrorString(status), *message ? ": " : "", message));
}

Entered::Entered(const Device& device) : device_(device) {
    if (device.libraries().process != getpid()) device.fail(kForked);
    if (const int result = device.broken_)
        device.fail(text("the GPU stopped with ", device.name_of(result), "; end this program and start it again"));
    device.check(device.driver().cuCtxPushCurrent_v2(device.context_), "cuCtxPushCurrent");
}

Entered::~Entered() {
    abi::ContextHandle* popped = nullptr;
    device_.driver().cuCtxPopCurrent_v2(&popped);
}

}  // namespace dn::cuda
