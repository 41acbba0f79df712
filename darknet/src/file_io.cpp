// SPDX-License-Identifier: Apache-2.0
#include "file_io.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>

#include "error.hpp"

namespace dn {
namespace {

constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;  // one call moves at most 2^31 bytes on Linux

[[noreturn]] void io_error(const std::string& path, const char* what) {
    throw Error(Status::io, path, text(what, ": ", std::strerror(errno)));
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// Unique in this process by the counter, between processes by the id.
std::string temporary_name(const std::string& path) {
    static std::atomic<unsigned> counter{0};
    return text(path, ".tmp-", ::getpid(), "-", counter++);
}

// The file at the end of symbolic links, which need not exist yet: a link stays when its file is replaced.
std::string without_links(std::string path) {
    constexpr int kMostLinks = 40;  // as the kernel
    for (int i = 0; i < kMostLinks; ++i) {
        std::array<char, PATH_MAX> target{};
        const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
        if (length < 0) break;
        const std::string next(target.data(), static_cast<std::size_t>(length));
        path = next.rfind('/', 0) == 0 ? next : text(folder_of(path), "/", next);
    }
    return path;
}

// Whether the path leads to a device, pipe or socket, which can only be written to.
bool is_irreplaceable(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

void sync_folder(const std::string& path) {
    const Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems cannot sync a folder; the rename has happened and the file's data is safe.
    if (folder.get() >= 0) (void)::fsync(folder.get());
}

}  // namespace

Descriptor::~Descriptor() { close(); }

bool Descriptor::close() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || ::close(fd) == 0;
}

InputFile::InputFile(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), size_(0) {
    if (file_.get() < 0) io_error(path, "cannot open the file");
    struct stat info {};
    if (::fstat(file_.get(), &info) != 0) io_error(path, "cannot examine the file");
    if (!S_ISREG(info.st_mode)) throw Error(Status::io, path, "is not a regular file");
    size_ = static_cast<std::uint64_t>(info.st_size);
}

void InputFile::read(std::uint64_t offset, void* dst, std::size_t bytes) const {
    auto* to = static_cast<char*>(dst);
    while (bytes > 0) {
        const ssize_t got = ::pread(file_.get(), to, std::min(bytes, kMaxTransfer), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) io_error(path_, "cannot be read");
        if (got == 0) throw Error(Status::io, path_, text("ended at byte ", offset, " while it was read"));
        to += got;
        offset += static_cast<std::uint64_t>(got);
        bytes -= static_cast<std::size_t>(got);
    }
}

ReplacingFile::ReplacingFile(const std::string& path)
    : path_(is_irreplaceable(path) ? path : without_links(path)),
      temporary_(is_irreplaceable(path) ? "" : temporary_name(path_)),
      file_(temporary_.empty() ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC)
                               : ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
    if (file_.get() < 0) io_error(path, temporary_.empty() ? "cannot be opened" : "cannot create a file in its folder");
}

ReplacingFile::~ReplacingFile() {
    if (!committed_ && file_.get() >= 0 && !temporary_.empty()) ::unlink(temporary_.c_str());
}

void ReplacingFile::write(const void* src, std::size_t bytes) {
    const auto* from = static_cast<const char*>(src);
    while (bytes > 0) {
        const ssize_t put = ::write(file_.get(), from, std::min(bytes, kMaxTransfer));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) fail("cannot be written");
        from += put;
        bytes -= static_cast<std::size_t>(put);
    }
}

void ReplacingFile::commit() {
    if (temporary_.empty()) return;
    if (::fsync(file_.get()) != 0) fail("cannot be written to disk");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be replaced");
    committed_ = true;
    sync_folder(path_);
}

void ReplacingFile::fail(const char* what) const { io_error(path_, what); }

}  // namespace dn
