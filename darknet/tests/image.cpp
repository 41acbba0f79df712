// SPDX-License-Identifier: Apache-2.0
// Resizing and letterboxing: values worked out by hand, and properties that hold for any size.
#include "image.hpp"

#include <cstring>
#include <vector>

#include "support.hpp"

using namespace dn;
using namespace dn::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

ImageView view(const Bytes& data, int width, int height, int channels, bool bgr = false) {
    return {data.data(), width, height, channels, static_cast<std::size_t>(width) * channels, 1, bgr};
}

std::vector<float> load(const ImageView& image, Shape net, bool letterbox = false) {
    std::vector<float> out(net.size(), -1.0f);
    load_image(image, letterbox, net, out.data());
    return out;
}

std::string load_error(const ImageView& image, Shape net) {
    return error_of(Status::invalid_argument, [&] { load(image, net); });
}

float unit(int byte) { return static_cast<float>(byte) / 255.0f; }

void check_near(const std::vector<float>& found, const std::vector<float>& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-6));
}

}  // namespace

TEST_CASE("resize: corners keep their values and the middle is their mean") {
    const Bytes data{0, 255, 51, 102};  // 2 x 2, grey
    const float a = 0, b = 1, c = 0.2f, d = 0.4f;
    check_near(load(view(data, 2, 2, 1), {1, 3, 3}),
               {a, (a + b) / 2, b, (a + c) / 2, (a + b + c + d) / 4, (b + d) / 2, c, (c + d) / 2, d});
}

TEST_CASE("resize: shrinking 5 to 3 takes every second value, 4 to 3 interpolates at 1.5") {
    check_near(load(view({0, 50, 100, 150, 200}, 5, 1, 1), {1, 1, 3}), {unit(0), unit(100), unit(200)});
    check_near(load(view({0, 100, 200, 40}, 4, 1, 1), {1, 1, 3}), {unit(0), unit(150), unit(40)});
}

TEST_CASE("resize: an image of the network's size is copied exactly") {
    Bytes data;
    for (int i = 0; i < 5 * 7 * 3; ++i) data.push_back(static_cast<std::uint8_t>(i * 37));
    const std::vector<float> out = load(view(data, 7, 5, 3), {3, 5, 7});
    for (int c = 0; c < 3; ++c)
        for (int i = 0; i < 5 * 7; ++i) CHECK(out[c * 35 + i] == unit(data[i * 3 + c]));
}

TEST_CASE("resize: a constant image stays constant at every size, the last row included") {
    // 240 -> 416 and 375 -> 704 are among the pairs whose last row Darknet turns black.
    for (const auto& [in, out] : {std::pair{240, 416}, std::pair{375, 704}, std::pair{333, 320}, std::pair{1, 9},
                                  std::pair{9, 1}, std::pair{7, 13}}) {
        const Bytes data(static_cast<std::size_t>(in) * in, 200);
        for (const float value : load(view(data, in, in, 1), {1, out, out}))
            CHECK(value == doctest::Approx(unit(200)).epsilon(1e-6));
    }
}

TEST_CASE("resize: values stay within those of the image, and a ramp stays a ramp") {
    Bytes ramp;
    for (int i = 0; i < 100; ++i) ramp.push_back(static_cast<std::uint8_t>(2 * i));
    const std::vector<float> out = load(view(ramp, 100, 1, 1), {1, 4, 37});
    for (int x = 0; x < 37; ++x) CHECK(out[x] == doctest::Approx(2.0 * x * 99 / 36 / 255).epsilon(1e-5));
}

TEST_CASE("resize: one output column shows the last input column, as in Darknet - rows likewise") {
    check_near(load(view({10, 20, 30, 40}, 2, 2, 1), {1, 1, 1}), {unit(40)});
}

TEST_CASE("channels: blue-first input becomes red-first planes - alpha is dropped") {
    check_near(load(view({10, 20, 30}, 1, 1, 3, true), {3, 1, 1}), {unit(30), unit(20), unit(10)});
    check_near(load(view({10, 20, 30}, 1, 1, 3, false), {3, 1, 1}), {unit(10), unit(20), unit(30)});
    check_near(load(view({10, 20, 30, 40}, 1, 1, 4, true), {4, 1, 1}), {unit(30), unit(20), unit(10), unit(40)});
    check_near(load(view({10, 20, 30, 40}, 1, 1, 4, true), {3, 1, 1}), {unit(30), unit(20), unit(10)});
    check_near(load(view({1, 2, 3, 4, 5}, 1, 1, 5, true), {5, 1, 1}), {unit(1), unit(2), unit(3), unit(4), unit(5)});
}

TEST_CASE("channels: grey feeds all planes - colour becomes luma") {
    check_near(load(view({77}, 1, 1, 1), {3, 1, 1}), {unit(77), unit(77), unit(77)});
    // .299 R + .587 G + .114 B, rounded to a byte.
    check_near(load(view({255, 0, 0}, 1, 1, 3), {1, 1, 1}), {unit(76)});
    check_near(load(view({255, 0, 0}, 1, 1, 3, true), {1, 1, 1}), {unit(29)});
    check_near(load(view({0, 255, 0, 9}, 1, 1, 4), {1, 1, 1}), {unit(150)});
    check_near(load(view({90, 90, 90}, 1, 1, 3), {1, 1, 1}), {unit(90)});
}

TEST_CASE("depth: 16-bit values are divided by 65535, at any alignment and row stride") {
    const std::uint16_t values[] = {0, 65535, 13107, 26214};
    Bytes data(1 + 2 * 7, 0xEE);  // one byte off, rows 7 bytes apart
    for (int y = 0; y < 2; ++y) std::memcpy(data.data() + 1 + 7 * y, values + 2 * y, 4);
    const ImageView image{data.data() + 1, 2, 2, 1, 7, 2, false};
    check_near(load(image, {1, 2, 2}), {0, 1, 0.2f, 0.4f});
    const std::uint16_t colour[] = {65535, 0, 0};
    check_near(load({colour, 1, 1, 3, 6, 2, false}, {1, 1, 1}), {19596.0f / 65535});
}

TEST_CASE("letterbox: scaled size and corner, worked out by hand") {
    const auto check = [](Letterbox box, int w, int h, int x, int y) {
        CHECK(box.w == w);
        CHECK(box.h == h);
        CHECK(box.x == x);
        CHECK(box.y == y);
    };
    check(letterbox_of(640, 480, 416, 416), 416, 312, 0, 52);
    check(letterbox_of(480, 640, 416, 416), 312, 416, 52, 0);
    check(letterbox_of(773, 512, 416, 416), 416, 275, 0, 70);  // 275.5 is cut off, the odd margin too
    check(letterbox_of(500, 500, 608, 320), 320, 320, 144, 0);
    check(letterbox_of(608, 320, 608, 320), 608, 320, 0, 0);
    check(letterbox_of(10000, 1, 416, 416), 416, 1, 0, 207);  // a hair keeps one row
}

TEST_CASE("letterbox: the image in the middle, half grey around it") {
    const Bytes data(4 * 2, 255);
    const std::vector<float> out = load(view(data, 4, 2, 1), {1, 4, 4}, true);
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 4; ++x) CHECK(out[y * 4 + x] == (y == 1 || y == 2 ? 1.0f : 0.5f));
}

TEST_CASE("planes: floats are resized and letterboxed exactly as the image they come from") {
    const int w = 13, h = 9;
    Bytes data;
    std::vector<float> planes(3 * w * h);
    for (int i = 0; i < w * h; ++i)
        for (int c = 0; c < 3; ++c) {
            data.push_back(static_cast<std::uint8_t>(i * 29 + c * 71));
            planes[c * w * h + i] = unit(data.back());
        }
    for (const Shape net : {Shape{3, 20, 31}, Shape{3, 5, 4}, Shape{3, 9, 13}}) {
        std::vector<float> out(net.size());
        resize_planes(planes.data(), {3, h, w}, net, out.data());
        CHECK(out == load(view(data, w, h, 3), net));
        letterbox_planes(planes.data(), {3, h, w}, net, out.data());
        CHECK(out == load(view(data, w, h, 3), net, true));
    }
}

TEST_CASE("image: what cannot be an image for this network is refused by name") {
    const Bytes data(64, 0);
    CHECK(load_error(view(data, 2, 2, 2), {3, 4, 4}) == "image: found 2 channels, the network takes 3");
    CHECK(load_error(view(data, 2, 2, 3), {4, 4, 4}) == "image: found 3 channels, the network takes 4");
    CHECK(load_error(view(data, 2, 2, 1), {5, 4, 4}) == "image: found 1 channels, the network takes 5");
    CHECK(load_error({data.data(), 2, 2, 3, 5, 1, false}, {3, 4, 4}) ==
          "image: found a stride of 5 bytes, expected at least 6 for 2 pixels of 3 channels");
    CHECK(load_error({data.data(), 2, 2, 3, 24, 4, false}, {3, 4, 4}) ==
          "image: found 4 bytes per value, expected 1 or 2");
    CHECK(load_error({data.data(), 0, 2, 3, 6, 1, false}, {3, 4, 4}) ==
          "image: found 0 x 2 x 3, expected at least one pixel and channel");
    CHECK(load_error({nullptr, 2, 2, 3, 6, 1, false}, {3, 4, 4}) ==
          "image: found 2 x 2 x 3 without data, expected at least one pixel and channel");
    CHECK(load_error({data.data(), 1 << 30, 1, 3, std::size_t{3} << 30, 1, false}, {3, 4, 4}) ==
          "image: found a row of 1073741824 pixels, which is too long");
}
