// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>

namespace dn {
namespace {

// A control group's limit, its use, and the part of the use that the system can drop, in versions 2 and 1.
struct ControlGroup {
    const char *limit, *used, *table, *reclaimable;
};
constexpr ControlGroup kControlGroups[] = {
    {"memory.max", "memory.current", "memory.stat", "inactive_file"},
    {"memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"}};

// The number that follows `name` in a file of names and numbers.
std::optional<std::int64_t> entry(const std::string& file, const std::string& name) {
    std::ifstream lines(file);
    std::string key;
    std::int64_t value = 0;
    while (lines >> key) {
        if (key != name) continue;
        if (lines >> value) return value;
        break;
    }
    return std::nullopt;
}

std::optional<std::int64_t> number(const std::string& file) {
    std::int64_t value = 0;
    if (std::ifstream(file) >> value) return value;
    return std::nullopt;  // no such file, or "max"
}

}  // namespace

std::size_t free_host_bytes(const std::string& root) {
    constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
    std::int64_t free = kUnknown;
    if (const auto kilobytes = entry(root + "/proc/meminfo", "MemAvailable:")) free = *kilobytes * 1024;
    const std::string folder = root + "/sys/fs/cgroup/";
    for (const ControlGroup& group : kControlGroups) {
        const auto limit = number(folder + group.limit), used = number(folder + group.used);
        if (!limit || !used) continue;
        free = std::min(free, *limit - *used + entry(folder + group.table, group.reclaimable).value_or(0));
    }
    return free == kUnknown ? 0 : static_cast<std::size_t>(std::max<std::int64_t>(free, 1));
}

}  // namespace dn
