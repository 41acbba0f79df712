// SPDX-License-Identifier: Apache-2.0
// What this machine has for the cuda backend, for those who ask before they use it.
#include <set>

#include "../../error.hpp"
#include "cuda.hpp"
#include "device.hpp"
#include "disk_cache.hpp"

namespace dn {
namespace {

std::string quoted(const std::string& value) {
    std::string out = "\"";
    for (const char ch : value) {
        if (ch == '"' || ch == '\\') out += '\\';
        if (static_cast<unsigned char>(ch) >= ' ') out += ch;
    }
    return out + '"';
}

std::string architectures_of(const std::vector<cuda::EmbeddedCode>& codes) {
    std::set<int> all;
    for (const cuda::EmbeddedCode& code : codes) all.insert(code.arch);
    std::string out;
    for (const int arch : all) out += text(out.empty() ? "" : ", ", arch);
    return out;
}

std::string described_cache(const std::string& folder) {
    const cuda::CacheFacts facts = cuda::inspect_cache(folder);
    return text("{\"folder\": ", quoted(folder), ", \"files\": ", facts.files, ", \"bytes\": ", facts.bytes,
                ", \"damaged\": ", facts.damaged, ", \"why_not\": ", quoted(facts.why_not), "}");
}

std::string described(const cuda::Libraries& libraries, const cuda::DeviceFacts& facts) {
    std::string why;
    is_available(libraries, facts.index, &why);
    return text("{\"index\": ", facts.index, ", \"name\": ", quoted(facts.name), ", \"capability\": \"", facts.major,
                '.', facts.minor, "\", \"memory\": ", facts.memory, ", \"uuid\": ", quoted(facts.uuid),
                ", \"why_not\": ", quoted(why), "}");
}

}  // namespace

bool cuda_available(int device, std::string* why) { return cuda::is_available(*cuda::libraries(), device, why); }

void set_cuda_folders(std::vector<std::string> folders) { cuda::set_library_folders(std::move(folders)); }

std::string cuda_info() {
    const auto libraries = cuda::libraries();
    const auto version = [](int number, const auto& as_text) { return number ? quoted(as_text(number)) : "null"; };
    std::string devices, why;
    for (const cuda::DeviceFacts& facts : list_devices(*libraries))
        devices += (devices.empty() ? "" : ", ") + described(*libraries, facts);
    cuda::is_available(*libraries, 0, &why);
    return text("{\"driver\": ", version(libraries->driver_version, cuda::cuda_version_text),
                ", \"nvrtc\": ", version(libraries->nvrtc_version, cuda::cuda_version_text),
                ", \"cudnn\": ", version(libraries->dnn_version, cuda::dnn_version_text),
                ", \"nccl\": ", version(libraries->nccl_version, cuda::nccl_version_text), ", \"embedded\": [",
                architectures_of(libraries->embedded),
                "], \"cache\": ", described_cache(cuda::DiskCache::default_folder()), ", \"devices\": [", devices,
                "], \"why_not\": ", quoted(why), "}");
}

}  // namespace dn
