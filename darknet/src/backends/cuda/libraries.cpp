// SPDX-License-Identifier: Apache-2.0
#include "libraries.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

namespace fs = std::filesystem;

constexpr int kOldestDriver = 12000;  // the first that runs machine code of every CUDA 12 compiler
constexpr int kThousand = 1000;
constexpr int kOldestNccl = 21400;  // the first that can wait with a limit
constexpr const char kHowTo[] = "install pydarknet[cuda], or name its folder in PYDARKNET_CUDA_PATH";

std::vector<std::string> folders_of_environment() {
    std::vector<std::string> folders;
    const char* value = std::getenv("PYDARKNET_CUDA_PATH");
    std::istringstream stream(value ? value : "");
    for (std::string folder; std::getline(stream, folder, ':');)
        if (!folder.empty()) folders.push_back(folder);
    return folders;
}

class Opener {
public:
    explicit Opener(const std::vector<std::string>& folders) : first_(folders_of_environment()), later_(folders) {}

    // Null when no such library is found. `before`: the start of the name of a library that it needs but does not find
    // by itself, opened first where it lies beside it.
    void* open(const std::string& name, const char* before = nullptr) const {
        for (const std::string& folder : first_)
            if (void* library = open_in(folder, name, before)) return library;
        if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD)) return library;
        for (const std::string& folder : later_)
            if (void* library = open_in(folder, name, before)) return library;
        return dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
    }

private:
    static void* open_in(const std::string& folder, const std::string& name, const char* before) {
        const fs::path path = fs::path(folder) / name;
        std::error_code ignored;
        if (!fs::exists(path, ignored)) return nullptr;
        if (before) open_beside(folder, before);
        return dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    }

    static void open_beside(const std::string& folder, const char* start) {
        std::error_code ignored;
        for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored))
            if (entry->path().filename().string().rfind(start, 0) == 0)
                dlopen(entry->path().c_str(), RTLD_NOW | RTLD_GLOBAL);
    }

    std::vector<std::string> first_, later_;
};

template <class Function>
bool find(void* library, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    return function != nullptr;
}

// Fills a table; returns the name of the first function that the library lacks, "" when there is none.
#define DN_FIND(name, ...) \
    if (!find(library, #name, table.name)) return #name;
std::string fill(void* library, abi::Driver& table) {
    DN_CUDA_DRIVER(DN_FIND)
    return "";
}
std::string fill(void* library, abi::Nvrtc& table) {
    DN_CUDA_NVRTC(DN_FIND)
    return "";
}
std::string fill(void* library, abi::Dnn& table) {
    DN_CUDA_DNN(DN_FIND)
    return "";
}
std::string fill(void* library, abi::Nccl& table) {
    DN_CUDA_NCCL(DN_FIND)
    return "";
}
#undef DN_FIND

template <class Table>
std::string why_incomplete(void* library, const char* name, Table& table) {
    const std::string lacking = fill(library, table);
    return lacking.empty() ? "" : text("found ", name, " without the function ", lacking, "; it is too old");
}

void open_driver(const Opener& opener, Libraries& found) {
    void* library = opener.open("libcuda.so.1");
    if (!library) {
        found.driver_missing = "no NVIDIA driver was found (libcuda.so.1)";
        return;
    }
    found.driver_missing = why_incomplete(library, "libcuda.so.1", found.driver);
    if (!found.driver_missing.empty()) return;
    const int result = found.driver.cuInit(0);
    found.driver.cuDriverGetVersion(&found.driver_version);
    if (result == abi::kNoDevice) {
        found.driver_missing =
            "the NVIDIA driver lists no GPU; if the machine has one, check nvidia-smi and CUDA_VISIBLE_DEVICES";
    } else if (result != abi::kSuccess) {
        const char* name = nullptr;
        found.driver.cuGetErrorName(result, &name);
        found.driver_missing =
            text("the NVIDIA driver does not start: ", name ? name : text("error ", result), "; check nvidia-smi");
    } else if (found.driver_version < kOldestDriver) {
        found.driver_missing = text("found an NVIDIA driver for CUDA ", cuda_version_text(found.driver_version),
                                    ", expected 12.0 or newer; update the driver");
    }
}

void open_nvrtc(const Opener& opener, Libraries& found) {
    void* library = opener.open("libnvrtc.so.12", "libnvrtc-builtins.so");
    if (!library) library = opener.open("libnvrtc.so.13", "libnvrtc-builtins.so");
    if (!library) {
        found.nvrtc_missing = text("NVRTC was not found (libnvrtc.so.12 or .13); ", kHowTo);
        return;
    }
    found.nvrtc_missing = why_incomplete(library, "libnvrtc", found.nvrtc);
    if (!found.nvrtc_missing.empty()) return;
    int major = 0, minor = 0;
    found.nvrtc.nvrtcVersion(&major, &minor);
    constexpr int kTen = 10;
    found.nvrtc_version = major * kThousand + minor * kTen;
    if (found.driver_missing.empty() && found.driver_version / kThousand < major)
        found.nvrtc_missing =
            text("found NVRTC ", major, ".", minor, " and a driver for CUDA ", cuda_version_text(found.driver_version),
                 ", which does not run its machine code; install pydarknet[cuda] or a newer driver");
}

// cuDNN ends the process when it misses cuBLASLt, so that is opened before cuDNN is asked for anything but its version.
void open_dnn(const Opener& opener, Libraries& found) {
    void* library = opener.open("libcudnn.so.9");
    if (!library) {
        found.dnn_missing = text("cuDNN 9 was not found (libcudnn.so.9); ", kHowTo);
        return;
    }
    found.dnn_missing = why_incomplete(library, "libcudnn.so.9", found.dnn);
    if (!found.dnn_missing.empty()) return;
    found.dnn_version = static_cast<int>(found.dnn.cudnnGetVersion());
    const std::string blas = text("libcublasLt.so.", found.dnn.cudnnGetCudartVersion() / kThousand);
    if (!opener.open(blas))
        found.dnn_missing =
            text("cuDNN ", dnn_version_text(found.dnn_version), " needs ", blas, ", which was not found; ", kHowTo);
}

void open_nccl(const Opener& opener, Libraries& found) {
    void* library = opener.open("libnccl.so.2");
    if (!library) {
        found.nccl_missing = text("NCCL was not found (libnccl.so.2); ", kHowTo);
        return;
    }
    found.nccl_missing = why_incomplete(library, "libnccl.so.2", found.nccl);
    if (!found.nccl_missing.empty()) return;
    found.nccl.ncclGetVersion(&found.nccl_version);
    if (found.nccl_version < kOldestNccl)
        found.nccl_missing =
            text("found NCCL ", nccl_version_text(found.nccl_version), ", expected 2.14 or newer; ", kHowTo);
}

bool is_complete(const Libraries& found) {
    return found.driver_missing.empty() && found.nvrtc_missing.empty() && found.dnn_missing.empty() &&
           found.nccl_missing.empty();
}

// What the process has opened, and where it may search.
struct Shared {
    std::mutex mutex;
    std::vector<std::string> folders;
    std::shared_ptr<const Libraries> found;
};

Shared& shared() {
    static Shared instance;
    return instance;
}

}  // namespace

std::shared_ptr<const Libraries> open_libraries(const std::vector<std::string>& folders) {
    const Opener opener(folders);
    auto found = std::make_shared<Libraries>();
    found->process = getpid();
    found->embedded = embedded_codes();
    open_driver(opener, *found);
    open_nvrtc(opener, *found);
    open_dnn(opener, *found);
    open_nccl(opener, *found);
    return found;
}

std::shared_ptr<const Libraries> libraries() {
    Shared& process = shared();
    const std::lock_guard<std::mutex> lock(process.mutex);
    if (!process.found) process.found = open_libraries(process.folders);
    return process.found;
}

void set_library_folders(std::vector<std::string> folders) {
    Shared& process = shared();
    const std::lock_guard<std::mutex> lock(process.mutex);
    process.folders = std::move(folders);
    if (process.found && !is_complete(*process.found)) process.found = nullptr;
}

std::string cuda_version_text(int version) {
    constexpr int kTen = 10;
    return text(version / kThousand, ".", version % kThousand / kTen);
}

std::string dnn_version_text(int version) {
    constexpr int kMajor = 10000, kMinor = 100;
    return text(version / kMajor, ".", version % kMajor / kMinor, ".", version % kMinor);
}

// Up to 2.8 it had fewer digits: 2804 is 2.8.4.
std::string nccl_version_text(int version) {
    constexpr int kWithTwoDigits = 10000, kMinor = 100;
    if (version >= kWithTwoDigits) return dnn_version_text(version);
    return text(version / kThousand, ".", version % kThousand / kMinor, ".", version % kMinor);
}

}  // namespace dn::cuda
