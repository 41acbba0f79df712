// SPDX-License-Identifier: Apache-2.0
#include "compiler.hpp"

#include <iterator>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

// Updates must have the bits of the CPU's, and all else the rounding that the tests know: no fused multiply-add that
// the source does not ask for.
constexpr const char* kOptions[] = {"--std=c++17", "--fmad=false"};

const KernelSource& source_of(const std::string& program) {
    for (const KernelSource& source : kernel_sources())
        if (source.name == program + ".cuh") return source;
    throw Error(Status::internal, "cuda", text("found no kernel file ", program, ".cuh in this build"));
}

class Program {
public:
    Program(const abi::Nvrtc& nvrtc, const std::string& name) : nvrtc_(nvrtc) {
        std::vector<const char*> names, texts;
        for (const KernelSource& source : kernel_sources()) {
            names.push_back(source.name);
            texts.push_back(source.text.data());
        }
        check(nvrtc.nvrtcCreateProgram(&program_, source_of(name).text.data(), (name + ".cuh").c_str(),
                                       static_cast<int>(names.size()), texts.data(), names.data()));
    }
    ~Program() { nvrtc_.nvrtcDestroyProgram(&program_); }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    std::string compile(int arch) {
        const std::string architecture = text("--gpu-architecture=sm_", arch);
        std::vector<const char*> options(std::begin(kOptions), std::end(kOptions));
        options.push_back(architecture.c_str());
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
    abi::ProgramHandle* program_ = nullptr;
};

// All that the machine code of a program depends on.
std::string key_of(const Libraries& libraries, const std::string& program, int arch) {
    std::string key = text(program, "\nsm_", arch, "\nNVRTC ", libraries.nvrtc_version, '\n');
    for (const char* option : kOptions) key += text(option, '\n');
    for (const KernelSource& source : kernel_sources()) key.append(source.name).append("\n").append(source.text);
    return key;
}

}  // namespace

std::string compile(const abi::Nvrtc& nvrtc, const std::string& program, int arch) {
    return Program(nvrtc, program).compile(arch);
}

Kernels::Kernels(std::shared_ptr<Device> device, std::string cache_folder)
    : device_(std::move(device)), cache_(std::move(cache_folder), "cubin") {}

Kernels::~Kernels() {
    try {
        const Entered here(*device_);
        for (const auto& entry : modules_) device_->driver().cuModuleUnload(entry.second);
    } catch (...) {
        // A broken device, or one of the parent process, has nothing left to unload.
    }
}

std::string Kernels::machine_code(const std::string& program) const {
    const Libraries& libraries = device_->libraries();
    const int arch = device_->facts().arch();
    if (const EmbeddedCode* embedded = find_code(libraries.embedded, program, arch, libraries.driver_version))
        return std::string(embedded->code);
    const std::string key = key_of(libraries, program, arch);
    if (auto kept = cache_.read(key)) return *std::move(kept);
    const std::string code = compile(libraries.nvrtc, program, arch);
    cache_.write(key, code);
    return code;
}

abi::ModuleHandle* Kernels::module(const std::string& program) {
    const auto known = modules_.find(program);
    if (known != modules_.end()) return known->second;
    const std::string code = machine_code(program);
    abi::ModuleHandle* module = nullptr;
    device_->check(device_->driver().cuModuleLoadData(&module, code.data()), "cuModuleLoadData");
    return modules_[program] = module;
}

abi::FunctionHandle* Kernels::function(const std::string& program, const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = functions_.find(name);
    if (known != functions_.end()) return known->second;
    const Entered here(*device_);
    abi::FunctionHandle* function = nullptr;
    device_->check(device_->driver().cuModuleGetFunction(&function, module(program), name.c_str()),
                   "cuModuleGetFunction");
    return functions_[name] = function;
}

}  // namespace dn::cuda
