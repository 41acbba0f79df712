// SPDX-License-Identifier: Apache-2.0
#include "disk_cache.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string_view>
#include <thread>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHashLength = 2 * sizeof(std::uint64_t);

// FNV-1a.
std::uint64_t hash_of(std::string_view bytes) {
    constexpr std::uint64_t start = 14695981039346656037ull, prime = 1099511628211ull;
    std::uint64_t hash = start;
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * prime;
    return hash;
}

std::string hexadecimal(std::uint64_t value) {
    std::ostringstream stream;
    stream << std::hex << std::setw(kHashLength) << std::setfill('0') << value;
    return stream.str();
}

// A file is the first line, the checksum of the content, and the content.
std::string first_line(const std::string& kind) { return text("pydarknet ", kind, " 1\n"); }

bool starts_with(const std::string& file, const std::string& start) {
    return file.compare(0, start.size(), start) == 0;
}

// Nothing: it is damaged.
std::optional<std::string> content_of(const std::string& file, const std::string& kind) {
    const std::string start = first_line(kind);
    if (file.size() <= start.size() + kHashLength || !starts_with(file, start)) return std::nullopt;
    std::string content = file.substr(start.size() + kHashLength);
    if (file.compare(start.size(), kHashLength, hexadecimal(hash_of(content))) != 0) return std::nullopt;
    return content;
}

bool is_of_another_version(const std::string& file, const std::string& kind) {
    return starts_with(file, "pydarknet ") && !starts_with(file, first_line(kind));
}

std::string all_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream stream;
    stream << file.rdbuf();
    return stream.str();
}

std::string why_not_kept(const std::string& folder) {
    if (folder.empty()) return "no folder is known: set XDG_CACHE_HOME or HOME";
    fs::path made = folder;  // as far as it is
    std::error_code error;
    while (!fs::exists(made, error) && made.has_relative_path()) made = made.parent_path();
    if (fs::is_directory(made, error) && access(made.c_str(), W_OK | X_OK) == 0) return "";
    return made.string() + " cannot be written; set XDG_CACHE_HOME to another folder";
}

}  // namespace

DiskCache::DiskCache(std::string folder, std::string kind) : folder_(std::move(folder)), kind_(std::move(kind)) {}

std::string DiskCache::default_folder() {
    const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
    if (cache && *cache) return (fs::path(cache) / "pydarknet" / "cuda").string();
    if (home && *home) return (fs::path(home) / ".cache" / "pydarknet" / "cuda").string();
    return "";
}

std::string DiskCache::path_of(const std::string& key) const {
    const std::string name = hexadecimal(hash_of(key)) + hexadecimal(hash_of(first_line(kind_) + key));
    return (fs::path(folder_) / (name + "." + kind_)).string();
}

std::optional<std::string> DiskCache::read(const std::string& key) const {
    if (folder_.empty()) return std::nullopt;
    return content_of(all_of(path_of(key)), kind_);
}

void DiskCache::write(const std::string& key, const std::string& content) const {
    if (folder_.empty()) return;
    std::error_code error;
    fs::create_directories(folder_, error);
    const std::string path = path_of(key), part = text(path, ".", getpid(), ".", std::this_thread::get_id());
    {
        std::ofstream file(part, std::ios::binary);
        file << first_line(kind_) << hexadecimal(hash_of(content)) << content;
        if (!file.flush()) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) fs::rename(part, path, error);
    if (error) fs::remove(part, error);
}

CacheFacts inspect_cache(const std::string& folder) {
    CacheFacts facts;
    facts.why_not = why_not_kept(folder);
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string kind = entry->path().extension().string();
        if (kind != ".cubin" && kind != ".engine") continue;  // one that is being written
        const std::string file = all_of(entry->path().string());
        if (is_of_another_version(file, kind.substr(1))) continue;
        ++facts.files;
        facts.bytes += file.size();
        facts.damaged += content_of(file, kind.substr(1)) ? 0 : 1;
    }
    return facts;
}

}  // namespace dn::cuda
