// SPDX-License-Identifier: Apache-2.0
// Boxes out: head outputs -> candidates -> image coordinates -> NMS. One path for Python, the ABI and evaluation.
#pragma once

#include <cstdint>
#include <vector>

#include "box.cuh"
#include "graph.hpp"

namespace dn {

// One candidate as Darknet keeps it: all its class probabilities (0 where suppressed or under the threshold).
struct Candidate {
    Box box;
    float objectness;
    std::vector<float> prob;  // (classes)
    float uncertainty[4];     // gaussian_yolo: of x, y, w, h
    int best_class = 0;       // filled by region heads only, as in Darknet
};

struct DecodeOptions {
    float thresh = 0.25f;
    bool relative = true;    // coordinates relative to the image, else in its pixels
    bool letterbox = false;  // how the image was put into the network
    int image_width = 0, image_height = 0;
};

// Candidates of image `item` from the head's output, planes (c, h, w), in Darknet's order: cells row-major, anchors
// inner. Appends to `out`; call for every head in layer order.
void decode_head(const Node& head, const float* output, Shape net_input, const DecodeOptions& options,
                 std::vector<Candidate>& out);

// Darknet's per-class NMS: suppressed probabilities become 0, the order is Darknet's, nothing is removed.
void nms_sort(std::vector<Candidate>& candidates, int classes, float thresh, NmsKind kind, float beta);
// NMS by objectness alone (detector recall, the Python batch sample).
void nms_objectness(std::vector<Candidate>& candidates, int classes, float thresh);

// One box with one class.
struct Detection {
    float x1, y1, x2, y2;  // corners in image pixels, not clipped
    float confidence;
    std::int32_t class_id;
    std::int32_t box;  // detections with the same number are one box with several classes
};

// Every (box, class) with probability above 0, in post-NMS order, classes ascending within a box. Candidates are
// relative to the image; detections are in its pixels. A box whose corners are not finite is left out.
std::vector<Detection> flatten(const std::vector<Candidate>& candidates, int image_width, int image_height);

}  // namespace dn
