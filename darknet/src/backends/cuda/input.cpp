// SPDX-License-Identifier: Apache-2.0
#include "input.hpp"

#include <algorithm>
#include <cstring>

#include "planes.hpp"

namespace dn::cuda {
namespace {

std::size_t row_bytes(const ImageView& image) { return std::size_t{1} * image.width * image.channels * image.depth; }

// Each image begins at a multiple of the device's alignment.
std::size_t bytes_of(const ImageView& image) { return device_aligned(row_bytes(image) * image.height); }

}  // namespace

PlanInput::PlanInput(Runtime& runtime, Shape net, const Tensor& target)
    : runtime_(runtime),
      net_(net),
      target_(target),
      load_image_(runtime, kernel::load_image, target.type),
      planes_(runtime.device(), target.n * net.size() * sizeof(float)),
      read_(runtime.device()) {}

float* PlanInput::planes() {
    const Entered here(*runtime_.device());
    read_.wait();
    images_.clear();
    return planes_.get<float>();
}

bool PlanInput::load(const ImageView* images, int n, bool letterbox) {
    constexpr std::size_t most = 4;  // times the bytes of the planes: of large images the host reads few pixels
    std::size_t total = 0;
    for (int i = 0; i < n; ++i) {
        Floats pixel(net_.c);
        load_image(images[i], false, {net_.c, 1, 1}, pixel.data());  // throws for images that do not fit
        total += bytes_of(images[i]);
    }
    if (total > most * n * net_.size() * sizeof(float)) return false;
    const Entered here(*runtime_.device());
    read_.wait();
    images_.clear();
    if (!reserve(total)) return false;
    pixel_bytes_ = 0;
    for (int i = 0; i < n; ++i) {
        images_.push_back(copy_image(images[i], i, letterbox, pixel_bytes_));
        pixel_bytes_ += bytes_of(images[i]);
    }
    return true;
}

// Page-locked memory is slow to allocate, so it grows by halves. False: there is no memory for them.
bool PlanInput::reserve(std::size_t bytes) {
    if (bytes <= pixels_.bytes()) return true;
    runtime_.stream.synchronize();  // the old ones are not read any more
    const std::size_t grown = std::max(bytes, pixels_.bytes() + pixels_.bytes() / 2);
    pixels_ = {};
    device_pixels_ = {};
    try {
        device_pixels_ = DeviceBuffer(runtime_.device(), grown);
        pixels_ = PinnedBuffer(runtime_.device(), grown);
    } catch (const Error& error) {
        if (error.status() != Status::out_of_memory) throw;
        device_pixels_ = {};
    }
    return pixels_.bytes() > 0;
}

LoadImageArgs PlanInput::copy_image(const ImageView& image, int number, bool letterbox, std::size_t at) {
    const std::size_t row = row_bytes(image);
    const auto* from = static_cast<const unsigned char*>(image.data);
    for (int y = 0; y < image.height; ++y)
        std::memcpy(pixels_.get<unsigned char>() + at + y * row, from + y * image.stride, row);
    const Letterbox box =
        letterbox ? letterbox_of(image.width, image.height, net_.w, net_.h) : Letterbox{net_.w, net_.h, 0, 0};
    View dst = view_of(target_);
    dst.data = static_cast<std::byte*>(dst.data) +
               std::size_t{1} * number * net_.h * net_.w * target_.pitch * bytes(target_.type);
    return {device_pixels_.get<unsigned char>() + at,
            static_cast<long long>(row),
            image.width,
            image.height,
            image.channels,
            image.depth,
            image.bgr,
            dst,
            net_.w,
            net_.h,
            net_.c,
            box.x,
            box.y,
            box.w,
            box.h};
}

void PlanInput::enqueue() {
    if (!images_.empty()) {
        runtime_.stream.upload(pixels_.get<void>(), device_pixels_.get(), pixel_bytes_);
        read_.record(runtime_.stream);
        for (const LoadImageArgs& image : images_) load_image_(static_cast<long long>(net_.size()), image);
        return;
    }
    auto* planes = reinterpret_cast<float*>(runtime_.scratch());
    runtime_.stream.upload(planes_.get<void>(), planes, planes_.bytes());
    read_.record(runtime_.stream);
    from_planes(runtime_, planes, target_);
}

}  // namespace dn::cuda
