// SPDX-License-Identifier: Apache-2.0
// NVRTC for tests: its machine code is a name, since the kernels are part of this library.
#include <cstring>

#include "fakes.hpp"

using namespace dn::fakes;

namespace {
constexpr char kCode[] = "machine code of the fake compiler";
}

DN_FAKE int nvrtcVersion(int* major, int* minor) {
    constexpr int kMajor = 12, kMinor = 99;  // of no real one, which would take its machine code from the cache
    *major = kMajor;
    *minor = kMinor;
    return 0;
}
DN_FAKE const char* nvrtcGetErrorString(int) { return "an error of the fake compiler"; }
DN_FAKE int nvrtcCreateProgram(dn::cuda::abi::ProgramHandle** program, const char* text, const char*, int,
                               const char* const*, const char* const*) {
    *program = reinterpret_cast<dn::cuda::abi::ProgramHandle*>(const_cast<char*>(kCode));
    return *text ? 0 : 1;
}
DN_FAKE int nvrtcDestroyProgram(dn::cuda::abi::ProgramHandle**) { return 0; }
DN_FAKE int nvrtcCompileProgram(dn::cuda::abi::ProgramHandle*, int count, const char* const* options) {
    const std::lock_guard<std::recursive_mutex> lock(world().mutex);
    ++world().counts["compiled"];
    for (int i = 0; i < count; ++i) ++world().counts[options[i]];
    return static_cast<int>(world().settings["compile_error"]);
}
DN_FAKE int nvrtcGetProgramLogSize(dn::cuda::abi::ProgramHandle*, std::size_t* size) {
    *size = sizeof kCode;
    return 0;
}
DN_FAKE int nvrtcGetProgramLog(dn::cuda::abi::ProgramHandle*, char* log) {
    std::memcpy(log, kCode, sizeof kCode);
    return 0;
}
DN_FAKE int nvrtcGetCUBINSize(dn::cuda::abi::ProgramHandle*, std::size_t* size) {
    *size = sizeof kCode;
    return 0;
}
DN_FAKE int nvrtcGetCUBIN(dn::cuda::abi::ProgramHandle*, char* code) {
    std::memcpy(code, kCode, sizeof kCode);
    return 0;
}
