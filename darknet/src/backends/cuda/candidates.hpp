// SPDX-License-Identifier: Apache-2.0
// Boxes above a threshold, found on the device: what a few detections need crosses the bus, and not whole heads.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "../../detect.hpp"
#include "kernels/heads.cuh"
#include "launch.hpp"

namespace dn::cuda {

class BoxFinder {
public:
    using TensorOf = std::function<Tensor(int node)>;
    // Whether it knows all heads of the graph, and these are kept: [yolo] and [Gaussian_yolo] drop boxes by a
    // threshold, the decoders of others need every value.
    static bool suits(const Graph& graph, const std::vector<int>& kept);
    // Of the device, for a batch.
    static std::size_t bytes(const Graph& graph, int batch);

    BoxFinder(Runtime& runtime, const Graph& graph, int batch, const TensorOf& tensor_of);

    // As Plan::candidates; none when there are too many boxes for the space kept. Waits for the stream.
    std::optional<std::vector<std::vector<Candidate>>> find(const std::vector<DecodeOptions>& options) const;

private:
    struct Head {
        const Node* node;
        Tensor output;
        int anchors, entries, objectness;
        DeviceBuffer counts, records;
        long long boxes_of_image() const { return 1LL * anchors * output.shape.h * output.shape.w; }
    };
    void launch(const Head& head, long long images, float thresh, int* found) const;
    std::vector<std::vector<float>> records(const std::vector<int>& found) const;
    void decode(const Head& head, const std::vector<float>& values, const std::vector<DecodeOptions>& options,
                std::vector<std::vector<Candidate>>& result) const;

    Runtime& runtime_;
    Shape input_;
    int batch_;
    Launch<BoxesArgs> count_, collect_;
    std::vector<Head> heads_;
    DeviceBuffer found_;  // by head
};

}  // namespace dn::cuda
