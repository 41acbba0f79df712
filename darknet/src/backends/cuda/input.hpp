// SPDX-License-Identifier: Apache-2.0
// From the host to a network's input tensor: float32 planes, or images that the device resizes.
#pragma once

#include <optional>
#include <vector>

#include "../../image.hpp"
#include "kernels/image.cuh"
#include "launch.hpp"

namespace dn::cuda {

class PlanInput {
public:
    // Planes pass the scratch memory of the runtime, which must hold a batch of them when enqueue() runs.
    PlanInput(Runtime& runtime, Shape net, const Tensor& target);

    // Where the caller writes planes (n, c, h, w); the next enqueue() takes these. Waits until the last one has read
    // them.
    float* planes();
    // Copies the images; the next enqueue() resizes them into the first of the batch. False, and nothing changes: they
    // have too many pixels for it to pay off. Throws Error(invalid_argument) for an image that does not fit the
    // network.
    bool load(const ImageView* images, int n, bool letterbox);
    // From where planes() or load() has put it to the tensor, again if called again.
    void enqueue();

private:
    bool reserve(std::size_t bytes);
    LoadImageArgs copy_image(const ImageView& image, int number, bool letterbox, std::size_t at);

    Runtime& runtime_;
    Shape net_;
    Tensor target_;
    Launch<LoadImageArgs> load_image_;
    PinnedBuffer planes_;
    PinnedBuffer pixels_;         // of all images, dense rows
    DeviceBuffer device_pixels_;  // likewise
    std::size_t pixel_bytes_ = 0;
    std::vector<LoadImageArgs> images_;  // empty: planes
    Event read_;                         // what the host wrote is on the device
};

}  // namespace dn::cuda
