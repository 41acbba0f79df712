// SPDX-License-Identifier: Apache-2.0
// Image files for C clients, by stb_image where the build found it. Python decodes with OpenCV instead.
#if defined(DN_STB_IMAGE)
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_FAILURE_USERMSG
#include <stb_image.h>
#endif

#include "cfg.hpp"
#include "compat/compat.hpp"

namespace dn::compat {
namespace {

constexpr std::size_t max_bytes = std::size_t{1} << 30;

image decode(const char* name, const std::uint8_t* bytes, std::size_t length) {
#if defined(DN_STB_IMAGE)
    if (length > max_bytes) throw Error(Status::io, name, text("found ", length, " bytes, expected an image file"));
    int w = 0, h = 0, channels = 0;
    const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
        stbi_load_from_memory(bytes, static_cast<int>(length), &w, &h, &channels, 3), &stbi_image_free);
    if (!pixels) throw Error(Status::io, name, text("cannot be decoded: ", stbi_failure_reason()));
    const image out = new_image(w, h, 3);
    copy_image_from_bytes(out, reinterpret_cast<char*>(pixels.get()));
    return out;
#else
    static_cast<void>(bytes);
    static_cast<void>(length);
    throw Error(Status::invalid_argument, name, "this libdarknet was built without an image decoder (stb_image)");
#endif
}

}  // namespace

bool can_decode() {
#if defined(DN_STB_IMAGE)
    return true;
#else
    return false;
#endif
}

image decode_file(const char* path) {
    const std::string content = read_file(path, max_bytes);
    return decode(path, reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
}

image decode_bytes(const std::uint8_t* bytes, std::size_t length) {
    return decode("image bytes", &need(bytes, "bytes"), length);
}

}  // namespace dn::compat
