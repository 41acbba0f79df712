// SPDX-License-Identifier: Apache-2.0
// Files by descriptor: positioned reads of a regular file, and a writer whose result appears at once or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dn {

// Closes its descriptor.
class Descriptor {
public:
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const noexcept { return fd_; }
    // Closes now and says whether that succeeded, which is the last chance of a file system to refuse data.
    bool close() noexcept;

private:
    int fd_;
};

class InputFile {
public:
    // Throws Error(io) when `path` is missing, unreadable or no regular file.
    explicit InputFile(const std::string& path);
    std::uint64_t size() const noexcept { return size_; }
    // Fills dst from `offset`; throws Error(io) when that many bytes cannot be had.
    void read(std::uint64_t offset, void* dst, std::size_t bytes) const;

private:
    std::string path_;
    Descriptor file_;
    std::uint64_t size_;
};

// Writes to a temporary file beside `path`. commit() syncs it, renames it over `path` and syncs the folder; without
// commit() the destructor removes it, and what stood at `path` is untouched. Of a symbolic link the file that it leads
// to is replaced; a device, pipe or socket is not replaced but written to.
class ReplacingFile {
public:
    explicit ReplacingFile(const std::string& path);
    ~ReplacingFile();
    ReplacingFile(const ReplacingFile&) = delete;
    ReplacingFile& operator=(const ReplacingFile&) = delete;
    void write(const void* src, std::size_t bytes);
    void commit();

private:
    [[noreturn]] void fail(const char* what) const;

    std::string path_, temporary_;  // temporary_ is empty where `path` is written to
    Descriptor file_;
    bool committed_ = false;
};

}  // namespace dn
