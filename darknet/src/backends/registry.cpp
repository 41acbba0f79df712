// SPDX-License-Identifier: Apache-2.0
// Backends by name. The order of the table is that of "auto": fastest first.
#include "../error.hpp"
#include "check.hpp"
#include "ref/ref.hpp"

#ifdef DN_HAVE_ONEDNN
#include "cpu/cpu.hpp"
#endif

namespace dn {
namespace {

struct BackendEntry {
    const char* name;
    std::unique_ptr<Backend> (*make)();
};

constexpr BackendEntry kBackends[] = {
#ifdef DN_HAVE_ONEDNN
    {"cpu", make_cpu_backend},
#endif
    {"ref", ref::make_backend},
};

constexpr const char kCheck[] = "check:";
constexpr std::size_t kCheckLength = sizeof kCheck - 1;

std::unique_ptr<Backend> make_check(const std::string& name) {
    const std::size_t comma = name.find(',');
    if (comma == std::string::npos)
        throw Error(Status::backend, "",
                    text("found backend \"", name, "\", expected two names, such as \"check:cpu,ref\""));
    const std::string first = name.substr(kCheckLength, comma - kCheckLength), second = name.substr(comma + 1);
    for (const std::string& part : {first, second})
        if (part.compare(0, kCheckLength, kCheck) == 0 || part.find(',') != std::string::npos)
            throw Error(Status::backend, "",
                        text("found backend \"", name, "\", expected exactly two plain names after check:"));
    return make_check_backend(make_backend(first), make_backend(second));
}

}  // namespace

std::vector<std::string> backend_names() {
    std::vector<std::string> names;
    for (const BackendEntry& entry : kBackends) names.emplace_back(entry.name);
    return names;
}

std::unique_ptr<Backend> make_backend(const std::string& name) {
    if (name == "auto") return kBackends[0].make();
    if (name.compare(0, kCheckLength, kCheck) == 0) return make_check(name);
    std::string available;
    for (const BackendEntry& entry : kBackends) {
        if (name == entry.name) return entry.make();
        available += text(available.empty() ? "" : ", ", entry.name);
    }
    throw Error(Status::backend, "",
                text("found backend \"", name, "\", expected auto, ", available, " or check:A,B of those",
                     name == "cpu" ? "; this build lacks oneDNN >= 3, which \"cpu\" needs" : ""));
}

}  // namespace dn
