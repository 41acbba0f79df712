// SPDX-License-Identifier: Apache-2.0
// kernels/image.cuh: the bits of image.cpp.
#include "kernels.hpp"

#include "backends/cuda/kernels/image.cuh"
#include "image.hpp"

using namespace dn;
using namespace dn::test;

namespace {

struct Pixels {
    int width, height, channels, depth;
    std::size_t gap = 0;  // bytes behind each row
    bool bgr = true;
};

std::vector<unsigned char> random_bytes(std::size_t count) {
    std::vector<unsigned char> bytes(count);
    for (std::size_t k = 0; k < count; ++k) bytes[k] = static_cast<unsigned char>(256 * uniform(5, k));
    return bytes;
}

void compare(const Pixels& pixels, Shape net, bool letterbox) {
    const std::size_t stride = std::size_t{1} * pixels.width * pixels.channels * pixels.depth + pixels.gap;
    const std::vector<unsigned char> bytes = random_bytes(stride * pixels.height);
    ImageView image;
    image.data = bytes.data();
    image.width = pixels.width;
    image.height = pixels.height;
    image.channels = pixels.channels;
    image.depth = pixels.depth;
    image.stride = stride;
    image.bgr = pixels.bgr;
    Floats expected(net.size());
    load_image(image, letterbox, net, expected.data());

    Letterbox box{net.w, net.h, 0, 0};
    if (letterbox) box = letterbox_of(pixels.width, pixels.height, net.w, net.h);
    for (const Storage storage : kStorages) {
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceArray<unsigned char> data(bytes);
            DeviceTensor dst(storage, 1, net, 2);
            launch_kernel(cuda::kernel::load_image, storage, grid_for(static_cast<long long>(net.size())),
                          {data.data(), static_cast<long long>(stride), pixels.width, pixels.height, pixels.channels,
                           pixels.depth, pixels.bgr, dst.view(), net.w, net.h, net.c, box.x, box.y, box.w, box.h},
                          options);
            return dst.read();
        });
        CHECK(same_bits(found, rounded(storage, expected)));
    }
}

}  // namespace

TEST_CASE("kernels image: resized and letterboxed images have the bits of the CPU's") {
    for (const bool letterbox : {false, true}) {
        compare({13, 7, 3, 1, 5}, {3, 16, 12}, letterbox);         // up, with a stride
        compare({40, 50, 3, 1, 0, false}, {3, 9, 17}, letterbox);  // down, RGB
        compare({17, 9, 4, 1}, {3, 9, 17}, letterbox);             // with alpha, the same size
        compare({11, 12, 3, 2, 3}, {3, 8, 8}, letterbox);          // 16 bits, rows at odd addresses
    }
}

TEST_CASE("kernels image: grey is made of colour and colour of grey") {
    compare({13, 7, 1, 1}, {3, 16, 12}, false);
    compare({13, 7, 3, 1}, {1, 16, 12}, false);
    compare({13, 7, 3, 2, 1, false}, {1, 16, 12}, true);
    compare({1, 1, 3, 1}, {3, 4, 4}, true);
    compare({5, 300, 3, 1}, {3, 1, 1}, false);
}
