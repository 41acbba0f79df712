// SPDX-License-Identifier: Apache-2.0
#include "build_info.hpp"

#include <fstream>
#include <thread>
#include <vector>

#include "../backends/registry.hpp"
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

std::string described(const PrecisionChoice& choice) {
    return text("{\"name\": ", quoted(precision_name(choice.precision)), ", \"reason\": ", quoted(choice.reason), "}");
}

// Null, and why, where it cannot compute here.
std::unique_ptr<Backend> made(const BackendEntry& entry, std::string& why) {
    if (!entry.available(0, &why)) return nullptr;
    try {
        return entry.make(0);
    } catch (const Error& error) {
        why = error.what();
        return nullptr;
    }
}

std::string described(const BackendEntry& entry) {
    std::string why;
    const std::unique_ptr<Backend> backend = made(entry, why);
    std::string out = text("{\"name\": ", quoted(entry.name), ", \"available\": ", backend ? "true" : "false",
                           ", \"reason\": ", quoted(why));
    if (!backend) return out + "}";
    std::string precisions;
    for (const PrecisionChoice& choice : backend->precisions())
        precisions += (precisions.empty() ? "" : ", ") + described(choice);
    return text(out, ", \"device\": ", quoted(backend->device()), ", \"precisions\": [", precisions,
                "], \"auto\": ", described(backend->automatic()), "}");
}

std::string backends() {
    std::string out;
    for (const BackendEntry& entry : backend_table()) out += (out.empty() ? "" : ", ") + described(entry);
    return "[" + out + "]";
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
                ", \"backends\": ", backends(), ", \"cuda\": ", cuda_description(), "}");
}

}  // namespace dn
