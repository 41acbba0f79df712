// SPDX-License-Identifier: Apache-2.0
// darknet_compat.h: images of float planes.
#include <algorithm>
#include <utility>

#include "compat/compat.hpp"
#include "image.hpp"

namespace dn::compat {

Shape checked(const image& im) {
    if (!im.data || im.w < 1 || im.h < 1 || im.c < 1)
        throw Error(Status::invalid_argument, "image",
                    text("found ", im.w, " x ", im.h, " x ", im.c, im.data ? "" : " without data",
                         ", expected at least one pixel and channel"));
    return {im.c, im.h, im.w};
}

image new_image(int w, int h, int c) {
    constexpr long long most = 1LL << 40;
    const bool positive = w > 0 && h > 0 && c > 0;
    if (!positive || static_cast<long long>(w) * h > most / c)
        throw Error(Status::invalid_argument, "image", text("found ", w, " x ", h, " x ", c, ", expected a size"));
    return {w, h, c, allocate<float>(static_cast<std::size_t>(w) * h * c)};
}

}  // namespace dn::compat

namespace {

using namespace dn::compat;

template <class Transform>
image transformed(const image& im, int w, int h, Transform&& transform) {
    return or_else<image>({}, [&] {
        const dn::Shape from = checked(im);
        image out = new_image(w, h, im.c);
        Block<float> owner(std::exchange(out.data, nullptr));
        transform(im.data, from, {out.c, out.h, out.w}, owner.get());
        out.data = owner.release();
        return out;
    });
}

}  // namespace

image make_image(int w, int h, int c) {
    return or_else<image>({}, [&] { return new_image(w, h, c); });
}

image make_empty_image(int w, int h, int c) { return {w, h, c, nullptr}; }

void free_image(image im) { std::free(im.data); }

image resize_image(image im, int w, int h) { return transformed(im, w, h, dn::resize_planes); }
image letterbox_image(image im, int w, int h) { return transformed(im, w, h, dn::letterbox_planes); }

image resize_min(image im, int min) {
    if (im.w < 1 || im.h < 1) return transformed(im, min, min, dn::resize_planes);  // which says what is wrong
    const bool tall = im.w < im.h;
    const auto along = [min](int side, int other) {
        return static_cast<int>(static_cast<long long>(side) * min / other);
    };
    return transformed(im, tall ? min : along(im.w, im.h), tall ? along(im.h, im.w) : min, dn::resize_planes);
}

image crop_image(image im, int dx, int dy, int w, int h) {
    return transformed(im, w, h, [dx, dy](const float* src, dn::Shape from, dn::Shape to, float* dst) {
        const auto inside = [](long long at, int size) {
            return static_cast<std::size_t>(std::clamp(at, 0LL, size - 1LL));
        };
        for (int c = 0; c < to.c; ++c)
            for (int y = 0; y < to.h; ++y) {
                const float* row = src + (static_cast<std::size_t>(c) * from.h + inside(1LL * y + dy, from.h)) * from.w;
                for (int x = 0; x < to.w; ++x) *dst++ = row[inside(1LL * x + dx, from.w)];
            }
    });
}

void rgbgr_image(image im) {
    dn::guarded([&] {
        const dn::Shape shape = checked(im);
        if (shape.c < 3)
            throw dn::Error(dn::Status::invalid_argument, "image",
                            dn::text("has ", shape.c, " channels, expected 3 to swap red and blue"));
        const std::size_t plane = static_cast<std::size_t>(shape.h) * shape.w;
        std::swap_ranges(im.data, im.data + plane, im.data + 2 * plane);
    });
}

void copy_image_from_bytes(image im, char* bytes) {
    dn::guarded([&] {
        const dn::Shape shape = checked(im);
        const auto* from = reinterpret_cast<const unsigned char*>(&dn::need(bytes, "bytes"));
        const std::size_t plane = static_cast<std::size_t>(shape.h) * shape.w;
        for (std::size_t i = 0; i < plane; ++i)
            for (int c = 0; c < shape.c; ++c) im.data[c * plane + i] = static_cast<float>(*from++) / 255.0f;
    });
}

image load_image_color(char* path, int w, int h) {
    return or_else<image>({}, [&] {
        const image found = decode_file(&dn::need(path, "path"));
        if (w < 1 || h < 1 || (w == found.w && h == found.h)) return found;
        const Block<float> owner(found.data);
        const image resized = resize_image(found, w, h);
        if (!resized.data) throw std::bad_alloc();
        return resized;
    });
}
