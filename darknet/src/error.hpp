// SPDX-License-Identifier: Apache-2.0
// The engine's one exception type. Thrown anywhere, caught once (capi.cpp), turned into a status and a message.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace dn {

// Values equal dn_status in darknet.h.
enum class Status { ok = 0, invalid_argument, io, cfg, weights, backend, out_of_memory, internal };

class Error : public std::runtime_error {
public:
    // where: "yolov4.cfg:57 [convolutional] pad"; text: what was found, what was expected, what to do.
    Error(Status status, const std::string& where, const std::string& text)
        : std::runtime_error(shortened(where.empty() ? text : where + ": " + text)), status_(status) {}
    Status status() const noexcept { return status_; }

private:
    // Messages quote what was found, which in a damaged file can be megabytes.
    static std::string shortened(std::string message) {
        constexpr std::size_t limit = 2000;
        if (message.size() > limit) message.replace(limit, std::string::npos, "...");
        return message;
    }

    Status status_;
};

// Concatenates its arguments as a stream would: text("found ", n, " of ", m).
template <class... Args>
std::string text(const Args&... args) {
    std::ostringstream stream;
    (stream << ... << args);
    return stream.str();
}

}  // namespace dn
