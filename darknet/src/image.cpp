// SPDX-License-Identifier: Apache-2.0
// Corner-aligned bilinear resizing, float32, horizontal pass first: the operations and their order are Darknet's, so
// that results are equal bit for bit (compiled without fused multiply-add for the same reason).
#include "image.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "error.hpp"

namespace dn {
namespace {

// Where the scaled image goes: planes of a larger canvas.
struct Window {
    float* data;  // top left of the first plane
    int channels, width, height;
    std::size_t row, plane;  // floats from row to row, plane to plane
};

// One tap pair per output position: value = w0 * src[i0] + w1 * src[i1].
struct Taps {
    std::vector<int> i0, i1;
    std::vector<float> w0, w1;
};

Taps make_taps(int in, int out) {
    Taps taps;
    for (auto* index : {&taps.i0, &taps.i1}) index->resize(out);
    for (auto* weight : {&taps.w0, &taps.w1}) weight->resize(out);
    const float scale = static_cast<float>(in - 1) / static_cast<float>(out - 1);
    for (int o = 0; o < out; ++o) {
        const bool last = o == out - 1;  // takes the last value as it is; for out == 1 that is the only one
        const float u = last ? static_cast<float>(in - 1) : static_cast<float>(o) * scale;
        const int i = std::min(static_cast<int>(u), in - 1);
        const float fraction = u - static_cast<float>(i);
        taps.i0[o] = i;
        taps.i1[o] = std::min(i + 1, in - 1);
        taps.w0[o] = 1 - fraction;
        taps.w1[o] = fraction;
    }
    return taps;
}

// -- sources: each turns one input row into one horizontally resized row per output channel --------------------------

float load_u16(const unsigned char* from) {
    std::uint16_t value;
    std::memcpy(&value, from, sizeof value);
    return static_cast<float>(value) / 65535.0f;
}

const std::array<float, 256>& unit_of_byte() {
    static const std::array<float, 256> table = [] {
        std::array<float, 256> values{};
        for (int i = 0; i < 256; ++i) values[i] = static_cast<float>(i) / 255.0f;
        return values;
    }();
    return table;
}

template <class Load>
void gather(const unsigned char* row, const Taps& bytes, float* dst, Load load) {
    const int width = static_cast<int>(bytes.i0.size());
    for (int x = 0; x < width; ++x)
        dst[x] = bytes.w0[x] * load(row + bytes.i0[x]) + bytes.w1[x] * load(row + bytes.i1[x]);
}

// Rec. 601 luma in 14-bit fixed point, rounded: what image decoders give for a grey read.
template <class Value>
Value luma(const unsigned char* pixel, int red, int blue) {
    Value channel[3];
    std::memcpy(channel, pixel, sizeof channel);
    return static_cast<Value>((channel[red] * 4899u + channel[1] * 9617u + channel[blue] * 1868u + 8192u) >> 14);
}

class InterleavedSource {
public:
    InterleavedSource(const ImageView& image, int channels, int out_width)
        : image_(image), to_grey_(channels == 1 && image.channels >= 3), taps_(make_taps(image.width, out_width)) {
        const int pixel_bytes = image.channels * image.depth;
        for (auto* index : {&taps_.i0, &taps_.i1})
            for (int& i : *index) i *= pixel_bytes;
        for (int c = 0; c < channels; ++c) offset_.push_back(source_channel(c) * image.depth);
    }

    int height() const { return image_.height; }

    void row(int y, int channel, float* dst) const {
        const unsigned char* from = static_cast<const unsigned char*>(image_.data) + y * image_.stride;
        const int red = image_.bgr ? 2 : 0, blue = 2 - red;
        const float* unit = unit_of_byte().data();
        if (to_grey_ && image_.depth == 1)
            return gather(from, taps_, dst, [=](auto* p) { return unit[luma<std::uint8_t>(p, red, blue)]; });
        if (to_grey_)
            return gather(from, taps_, dst, [=](auto* p) { return luma<std::uint16_t>(p, red, blue) / 65535.0f; });
        from += offset_[channel];
        if (image_.depth == 1) return gather(from, taps_, dst, [=](auto* p) { return unit[*p]; });
        gather(from, taps_, dst, load_u16);
    }

private:
    // Which value of a pixel is plane `channel`: grey feeds all planes, BGR and BGRA are swapped.
    int source_channel(int channel) const {
        if (image_.channels == 1) return 0;
        const bool swapped = image_.bgr && (image_.channels == 3 || image_.channels == 4) && channel < 3;
        return swapped ? 2 - channel : channel;
    }

    const ImageView& image_;
    bool to_grey_;
    Taps taps_;  // indices in bytes
    std::vector<int> offset_;
};

class PlanarSource {
public:
    PlanarSource(const float* data, Shape shape, int out_width)
        : data_(data), shape_(shape), taps_(make_taps(shape.w, out_width)) {}

    int height() const { return shape_.h; }

    void row(int y, int channel, float* dst) const {
        const float* from = data_ + (static_cast<std::size_t>(channel) * shape_.h + y) * shape_.w;
        const int width = static_cast<int>(taps_.i0.size());
        for (int x = 0; x < width; ++x) dst[x] = taps_.w0[x] * from[taps_.i0[x]] + taps_.w1[x] * from[taps_.i1[x]];
    }

private:
    const float* data_;
    Shape shape_;
    Taps taps_;
};

// -- the resize itself ------------------------------------------------------------------------------------------

// The two input rows that the current output row mixes, horizontally resized; rows are kept while they are of use.
template <class Source>
class RowCache {
public:
    RowCache(const Source& source, int width) : source_(source) {
        for (auto& buffer : buffers_) buffer.resize(width);
    }

    // Fetches row `y` of `channel` without losing row `keep`.
    const float* get(int y, int channel, int keep) {
        for (int slot : {0, 1})
            if (held_[slot] == y) return buffers_[slot].data();
        const int slot = held_[0] == keep ? 1 : 0;
        source_.row(y, channel, buffers_[slot].data());
        held_[slot] = y;
        return buffers_[slot].data();
    }

private:
    const Source& source_;
    std::array<std::vector<float>, 2> buffers_;
    std::array<int, 2> held_{-1, -1};
};

void mix_rows(const float* above, const float* below, float w0, float w1, int width, float* dst) {
    for (int x = 0; x < width; ++x) dst[x] = w0 * above[x] + w1 * below[x];
}

template <class Source>
void resize_into(const Source& source, const Window& to) {
    const Taps rows = make_taps(source.height(), to.height);
    for (int c = 0; c < to.channels; ++c) {
        RowCache<Source> cache(source, to.width);
        for (int y = 0; y < to.height; ++y) {
            const float* above = cache.get(rows.i0[y], c, rows.i1[y]);
            const float* below = cache.get(rows.i1[y], c, rows.i0[y]);
            mix_rows(above, below, rows.w0[y], rows.w1[y], to.width, to.data + c * to.plane + y * to.row);
        }
    }
}

Window whole(Shape shape, float* dst) {
    const auto row = static_cast<std::size_t>(shape.w);
    return {dst, shape.c, shape.w, shape.h, row, row * shape.h};
}

// The part of the canvas that the scaled image covers; the rest of the canvas becomes grey.
Window letterboxed(int width, int height, Shape canvas, float* dst) {
    constexpr float border = 0.5f;
    const Letterbox box = letterbox_of(width, height, canvas.w, canvas.h);
    std::fill_n(dst, canvas.size(), border);
    Window window = whole(canvas, dst);
    window.data += box.y * window.row + box.x;
    window.width = box.w;
    window.height = box.h;
    return window;
}

void check_image(const ImageView& image, Shape net) {
    const auto refuse = [](const std::string& message) { throw Error(Status::invalid_argument, "image", message); };
    if (!image.data || image.width < 1 || image.height < 1 || image.channels < 1)
        refuse(text("found ", image.width, " x ", image.height, " x ", image.channels,
                    image.data ? "" : " without data", ", expected at least one pixel and channel"));
    if (image.depth != 1 && image.depth != 2) refuse(text("found ", image.depth, " bytes per value, expected 1 or 2"));
    // Byte offsets within a row are ints.
    constexpr long long max_row = 1 << 30;
    const long long row = static_cast<long long>(image.width) * image.channels * image.depth;
    if (image.width > max_row / image.channels / image.depth)
        refuse(text("found a row of ", image.width, " pixels, which is too long"));
    if (image.stride < static_cast<std::size_t>(row))
        refuse(text("found a stride of ", image.stride, " bytes, expected at least ", row, " for ", image.width,
                    " pixels of ", image.channels, " channels"));
    const bool convertible = (image.channels == 1 && net.c == 3) ||
                             (image.channels >= 3 && image.channels <= 4 && (net.c == 1 || net.c == 3));
    if (image.channels != net.c && !convertible)
        refuse(text("found ", image.channels, " channels, the network takes ", net.c));
}

}  // namespace

Letterbox letterbox_of(int width, int height, int net_width, int net_height) {
    const bool wide = static_cast<float>(net_width) / static_cast<float>(width) <
                      static_cast<float>(net_height) / static_cast<float>(height);
    int w = net_width, h = net_height;
    if (wide)
        h = static_cast<int>(static_cast<long long>(height) * net_width / width);
    else
        w = static_cast<int>(static_cast<long long>(width) * net_height / height);
    // A hair-thin image keeps at least one line; the upper bound guards against rounding in the comparison.
    w = std::clamp(w, 1, net_width);
    h = std::clamp(h, 1, net_height);
    return {w, h, (net_width - w) / 2, (net_height - h) / 2};
}

void load_image(const ImageView& image, bool letterbox, Shape net, float* dst) {
    check_image(image, net);
    const Window window = letterbox ? letterboxed(image.width, image.height, net, dst) : whole(net, dst);
    resize_into(InterleavedSource(image, net.c, window.width), window);
}

void resize_planes(const float* src, Shape from, Shape to, float* dst) {
    resize_into(PlanarSource(src, from, to.w), whole(to, dst));
}

void letterbox_planes(const float* src, Shape from, Shape to, float* dst) {
    const Window window = letterboxed(from.w, from.h, to, dst);
    resize_into(PlanarSource(src, from, window.width), window);
}

}  // namespace dn
