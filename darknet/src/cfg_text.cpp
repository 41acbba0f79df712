// SPDX-License-Identifier: Apache-2.0
// The encodings in which cfg files come: UTF-8, UTF-16 of Windows, and lines of old Macs, which end in CR.
#include <algorithm>
#include <cstdint>

#include "cfg.hpp"

namespace dn {
namespace {

void append_utf8(std::uint32_t code, std::string& out) {
    if (code < 0x80) {
        out += static_cast<char>(code);
        return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first
    constexpr unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    out += static_cast<char>(first[more] | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
}

// high: place of the more significant byte in each pair. A half pair at the end is dropped.
std::string from_utf16(std::string_view bytes, int high) {
    const auto unit = [&](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i + high])) << 8 |
               static_cast<unsigned char>(bytes[i + 1 - high]);
    };
    std::string out;
    out.reserve(bytes.size() / 2);
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        std::uint32_t code = unit(i);
        if (code >= 0xD800 && code < 0xDC00 && i + 3 < bytes.size()) {
            code = 0x10000 + ((code & 0x3FF) << 10) + (unit(i + 2) & 0x3FF);
            i += 2;
        }
        append_utf8(code, out);
    }
    return out;
}

std::string to_utf8(std::string_view bytes) {
    if (bytes.substr(0, 3) == "\xEF\xBB\xBF") return std::string(bytes.substr(3));
    if (bytes.substr(0, 2) == "\xFF\xFE") return from_utf16(bytes.substr(2), 1);
    if (bytes.substr(0, 2) == "\xFE\xFF") return from_utf16(bytes.substr(2), 0);
    // Without a mark: a cfg begins with an ASCII character, whose other byte is 0.
    if (bytes.size() > 1 && bytes[0] != 0 && bytes[1] == 0) return from_utf16(bytes, 1);
    if (bytes.size() > 1 && bytes[0] == 0 && bytes[1] != 0) return from_utf16(bytes, 0);
    return std::string(bytes);
}

}  // namespace

std::string decode_text(std::string_view content) {
    std::string out = to_utf8(content);
    if (out.find('\n') == std::string::npos) std::replace(out.begin(), out.end(), '\r', '\n');
    return out;
}

}  // namespace dn
