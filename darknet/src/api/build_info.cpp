// SPDX-License-Identifier: Apache-2.0
#include "build_info.hpp"

#include <fstream>
#include <thread>
#include <vector>

#include "../backends/backend.hpp"
#include "../error.hpp"

#if defined(DN_HAVE_ONEDNN)
#include <dnnl.h>
#endif

namespace dn {
namespace {

std::string quoted(const std::string& value) {
    std::string out = "\"";
    for (char ch : value) {
        if (ch == '"' || ch == '\\') out += '\\';
        if (static_cast<unsigned char>(ch) >= 0x20) out += ch;
    }
    return out + '"';
}

std::string joined(const std::vector<std::string>& values) {
    std::string out = "[";
    for (const std::string& value : values) out += (out.size() > 1 ? ", " : "") + quoted(value);
    return out + "]";
}

std::vector<std::string> cpu_features() {
    std::vector<std::string> features;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
#define DN_FEATURE(name) \
    if (__builtin_cpu_supports(name)) features.emplace_back(name)
    DN_FEATURE("sse4.2");
    DN_FEATURE("avx");
    DN_FEATURE("avx2");
    DN_FEATURE("fma");
    DN_FEATURE("avx512f");
    DN_FEATURE("avx512bw");
    DN_FEATURE("avx512vnni");
    DN_FEATURE("avx512bf16");
#undef DN_FEATURE
#elif defined(__aarch64__)
    features.emplace_back("neon");
#endif
    return features;
}

std::string onednn_version() {
#if defined(DN_HAVE_ONEDNN)
    const dnnl_version_t* version = dnnl_version();
    return quoted(text(version->major, ".", version->minor, ".", version->patch));
#else
    return "null";
#endif
}

}  // namespace

std::string build_info() {
#if defined(_OPENMP)
    const std::string openmp = text(_OPENMP);
#else
    const std::string openmp = "null";
#endif
    return text("{\"version\": ", quoted(DN_VERSION), ", \"compiler\": ", quoted(__VERSION__),
                ", \"onednn\": ", onednn_version(), ", \"openmp\": ", openmp,
                ", \"cpu_features\": ", joined(cpu_features()), ", \"cores\": ", std::thread::hardware_concurrency(),
                ", \"backends\": ", joined(backend_names()), "}");
}

}  // namespace dn
