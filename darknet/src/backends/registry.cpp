// SPDX-License-Identifier: Apache-2.0
#include "registry.hpp"

#include <algorithm>

#include "../error.hpp"
#include "check.hpp"
#include "ref/ref.hpp"

#ifdef DN_HAVE_ONEDNN
#include "cpu/cpu.hpp"
#endif
#ifdef DN_HAVE_CUDA
#include "cuda/cuda.hpp"
#endif

namespace dn {
namespace {

constexpr const char kCheck[] = "check:";
constexpr std::size_t kCheckLength = sizeof kCheck - 1;

bool is_first_device(int device, std::string* why) {
    if (device != 0) *why = text("found device ", device, ", expected 0, its only one");
    return device == 0;
}

#ifdef DN_HAVE_ONEDNN
constexpr auto* cpu_available = is_first_device;
std::unique_ptr<Backend> make_cpu(int) { return make_cpu_backend(); }
#else
bool cpu_available(int, std::string* why) {
    *why = "this build lacks oneDNN >= 3";
    return false;
}
std::unique_ptr<Backend> make_cpu(int) { return nullptr; }
#endif

#ifndef DN_HAVE_CUDA
bool cuda_available(int, std::string* why) {
    *why = "this build lacks it (DN_WITH_CUDA)";
    return false;
}
std::unique_ptr<Backend> make_cuda_backend(int) { return nullptr; }
std::string cuda_info() { return "null"; }
void set_cuda_folders(const std::vector<std::string>&) {}
#endif

std::unique_ptr<Backend> make_ref(int) { return ref::make_backend(); }

struct DeviceName {
    std::string backend;
    int device = 0;
};

// "cuda:1" into its parts; a name without a number means the first device.
DeviceName parse_device(const std::string& name) {
    const std::size_t colon = name.find(':');
    if (colon == std::string::npos) return {name, 0};
    const std::string number = name.substr(colon + 1);
    constexpr std::size_t kMostDigits = 4;
    if (number.empty() || number.size() > kMostDigits ||
        !std::all_of(number.begin(), number.end(), [](char ch) { return ch >= '0' && ch <= '9'; }))
        throw Error(Status::backend, "",
                    text("found backend \"", name, "\", expected the number of a device after the colon, such as \"",
                         name.substr(0, colon), ":0\""));
    return {name.substr(0, colon), std::stoi(number)};
}

std::unique_ptr<Backend> make_check(const std::string& name, const BackendTable& table) {
    const std::size_t comma = name.find(',');
    if (comma == std::string::npos)
        throw Error(Status::backend, "",
                    text("found backend \"", name, "\", expected two names, such as \"check:cpu,ref\""));
    const std::string first = name.substr(kCheckLength, comma - kCheckLength), second = name.substr(comma + 1);
    for (const std::string& part : {first, second})
        if (part.compare(0, kCheckLength, kCheck) == 0 || part.find(',') != std::string::npos)
            throw Error(Status::backend, "",
                        text("found backend \"", name, "\", expected exactly two plain names after check:"));
    return make_check_backend(make_backend(first, table), make_backend(second, table));
}

std::string why_unavailable(const BackendTable& table) {
    std::string reasons, why;
    for (const BackendEntry& entry : table)
        if (!entry.available(0, &why)) reasons += text("; \"", entry.name, "\" is not available: ", why);
    return reasons;
}

std::string what_is_available(const BackendTable& table) {
    std::string names;
    for (const std::string& name : backend_names(table)) names += text(names.empty() ? "; available: " : ", ", name);
    return names;
}

std::unique_ptr<Backend> make_first(const BackendTable& table) {
    std::string why;
    for (const BackendEntry& entry : table)
        if (entry.available(0, &why)) return entry.make(0);
    throw Error(Status::backend, "", text("found no backend that is available", why_unavailable(table)));
}

}  // namespace

const BackendTable& backend_table() {
    // The cuda backend has not yet run on a GPU: it computes where it is asked for, and `auto` stays on the CPU.
    static const BackendTable table = {{"cpu", cpu_available, make_cpu},
                                       {"cuda", cuda_available, make_cuda_backend},
                                       {"ref", is_first_device, make_ref}};
    return table;
}

void set_library_folders(std::vector<std::string> folders) { set_cuda_folders(std::move(folders)); }

std::string cuda_description() { return cuda_info(); }

std::vector<std::string> backend_names(const BackendTable& table) {
    std::vector<std::string> names;
    std::string why;
    for (const BackendEntry& entry : table)
        if (entry.available(0, &why)) names.emplace_back(entry.name);
    return names;
}

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendTable& table) {
    if (name == "auto") return make_first(table);
    if (name.compare(0, kCheckLength, kCheck) == 0) return make_check(name, table);
    const DeviceName asked = parse_device(name);
    std::string known, why;
    for (const BackendEntry& entry : table) {
        known += text(known.empty() ? "" : ", ", entry.name);
        if (asked.backend != entry.name) continue;
        if (entry.available(asked.device, &why)) return entry.make(asked.device);
        throw Error(Status::backend, "",
                    text("backend \"", name, "\" is not available: ", why, what_is_available(table)));
    }
    throw Error(
        Status::backend, "",
        text("found backend \"", name, "\", expected auto, ", known, " or check:A,B of those", why_unavailable(table)));
}

}  // namespace dn
