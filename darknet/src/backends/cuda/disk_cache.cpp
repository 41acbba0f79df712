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

std::string all_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream stream;
    stream << file.rdbuf();
    return stream.str();
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
    const std::string file = all_of(path_of(key)), start = first_line(kind_);
    if (file.size() <= start.size() + kHashLength || file.compare(0, start.size(), start) != 0) return std::nullopt;
    const std::string content = file.substr(start.size() + kHashLength);
    if (file.compare(start.size(), kHashLength, hexadecimal(hash_of(content))) != 0) return std::nullopt;
    return content;
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

}  // namespace dn::cuda
