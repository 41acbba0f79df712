// SPDX-License-Identifier: Apache-2.0
#include "compiler.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <iterator>
#include <thread>

#include "../../error.hpp"
#include "memory.hpp"

namespace dn::cuda {
namespace {

// Updates must have the bits of the CPU's, and all else the rounding that the tests know: no fused multiply-add that
// the source does not ask for.
constexpr const char* kOptions[] = {"--std=c++17", "--fmad=false"};

// Of all types that a kernel is written for, the one that is compiled.
std::string storage_option(DType type) {
    return text("-DDN_STORAGE=", type == DType::f32 ? "f32" : type == DType::f16 ? "f16" : "bf16");
}

const KernelSource& source_of(const std::string& program) {
    for (const KernelSource& source : kernel_sources())
        if (source.name == program + ".cuh") return source;
    throw Error(Status::internal, "cuda", text("found no kernel file ", program, ".cuh in this build"));
}

class Compilation {
public:
    Compilation(const abi::Nvrtc& nvrtc, const Program& program) : nvrtc_(nvrtc), storage_(program.storage) {
        std::vector<const char*> names, texts;
        for (const KernelSource& source : kernel_sources()) {
            names.push_back(source.name);
            texts.push_back(source.text.data());
        }
        check(nvrtc.nvrtcCreateProgram(&program_, source_of(program.name).text.data(), (program.name + ".cuh").c_str(),
                                       static_cast<int>(names.size()), texts.data(), names.data()));
    }
    ~Compilation() { nvrtc_.nvrtcDestroyProgram(&program_); }
    Compilation(const Compilation&) = delete;
    Compilation& operator=(const Compilation&) = delete;

    std::string compile(int arch) {
        const std::string architecture = text("--gpu-architecture=sm_", arch), storage = storage_option(storage_);
        std::vector<const char*> options(std::begin(kOptions), std::end(kOptions));
        options.push_back(architecture.c_str());
        options.push_back(storage.c_str());
        if (nvrtc_.nvrtcCompileProgram(program_, static_cast<int>(options.size()), options.data()) != abi::kSuccess)
            throw Error(Status::backend, "cuda", text("NVRTC did not compile a kernel for sm_", arch, ": ", log()));
        std::size_t size = 0;
        check(nvrtc_.nvrtcGetCUBINSize(program_, &size));
        std::string code(size, '\0');
        check(nvrtc_.nvrtcGetCUBIN(program_, code.data()));
        return code;
    }

private:
    std::string log() const {
        std::size_t size = 0;
        nvrtc_.nvrtcGetProgramLogSize(program_, &size);
        std::string log(size, '\0');
        if (size) nvrtc_.nvrtcGetProgramLog(program_, log.data());
        return log;
    }

    void check(int result) const {
        if (result != abi::kSuccess)
            throw Error(Status::backend, "cuda", text("NVRTC failed: ", nvrtc_.nvrtcGetErrorString(result)));
    }

    const abi::Nvrtc& nvrtc_;
    DType storage_;
    abi::ProgramHandle* program_ = nullptr;
};

// All that the machine code of a program depends on.
std::string key_of(const Libraries& libraries, const Program& program, int arch) {
    std::string key = text(program.name, '\n', storage_option(program.storage), "\nsm_", arch, "\nNVRTC ",
                           libraries.nvrtc_version, '\n');
    for (const char* option : kOptions) key += text(option, '\n');
    for (const KernelSource& source : kernel_sources()) key.append(source.name).append("\n").append(source.text);
    return key;
}

struct Team : std::vector<std::thread> {
    ~Team() {
        for (std::thread& thread : *this) thread.join();
    }
};

// work(i) for all i < count on several threads, the caller's among them. Throws what the first that failed threw; then
// some of the others may not have begun.
void on_threads(std::size_t count, const std::function<void(std::size_t)>& work) {
    constexpr std::size_t most = 8;  // compilers need memory, too
    const std::size_t threads = std::min<std::size_t>({count, most, std::max(1u, std::thread::hardware_concurrency())});
    std::atomic<std::size_t> next{0};
    std::vector<std::exception_ptr> failures(count);
    const auto take = [&] {
        for (std::size_t i = next++; i < count; i = next++) try {
                work(i);
            } catch (...) {
                failures[i] = std::current_exception();
                next = count;
            }
    };
    {
        Team team;
        try {
            while (team.size() + 1 < threads) team.emplace_back(take);
        } catch (const std::exception&) {
            // The system has no more threads; those that it has are enough.
        }
        take();
    }
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::string compile(const abi::Nvrtc& nvrtc, const Program& program, int arch) {
    return Compilation(nvrtc, program).compile(arch);
}

Kernels::Kernels(std::shared_ptr<Device> device, std::string cache_folder)
    : device_(std::move(device)), cache_(std::move(cache_folder), "cubin") {}

Kernels::~Kernels() {
    quietly(*device_, [this](const abi::Driver& driver) {
        for (const auto& module : modules_) driver.cuModuleUnload(module.second);
    });
}

Function& Kernels::declare(const Program& program, const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return functions_[{program, name}];
}

void Kernels::load_declared() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Entered here(*device_);
    for (const auto& [program, code] : codes_of_declared()) {
        abi::ModuleHandle* module = nullptr;
        device_->check(device_->driver().cuModuleLoadData(&module, code.data()), "cuModuleLoadData");
        modules_[program] = module;
    }
    for (auto& [kernel, function] : functions_)
        if (!function.handle) function.handle = find(kernel.first, kernel.second);
}

abi::FunctionHandle* Kernels::handle_of(const Function& function) {
    if (!function.handle) load_declared();
    return function.handle;
}

// Of those that are not loaded.
std::map<Program, std::string> Kernels::codes_of_declared() const {
    std::map<Program, std::string> codes;
    for (const auto& entry : functions_)
        if (const Program& program = entry.first.first; !modules_.count(program)) codes[program];
    std::vector<std::pair<const Program, std::string>*> entries;
    for (auto& entry : codes) entries.push_back(&entry);
    on_threads(entries.size(), [&](std::size_t i) { entries[i]->second = machine_code(entries[i]->first); });
    return codes;
}

std::string Kernels::machine_code(const Program& program) const {
    const Libraries& libraries = device_->libraries();
    const int arch = device_->facts().arch();
    if (const EmbeddedCode* embedded = find_code(libraries.embedded, program.name, arch, libraries.driver_version))
        return std::string(embedded->code);
    const std::string key = key_of(libraries, program, arch);
    if (auto kept = cache_.read(key)) return *std::move(kept);
    std::string code = compile(libraries.nvrtc, program, arch);
    cache_.write(key, code);
    return code;
}

abi::FunctionHandle* Kernels::find(const Program& program, const std::string& name) const {
    abi::FunctionHandle* handle = nullptr;
    device_->check(device_->driver().cuModuleGetFunction(&handle, modules_.at(program), name.c_str()),
                   "cuModuleGetFunction");
    return handle;
}

}  // namespace dn::cuda
