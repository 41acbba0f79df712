// SPDX-License-Identifier: Apache-2.0
// Parsed keys of each layer: one struct per layer, filled by layers/<layer>.cpp, read by the backends.
// Defaults and meanings are Darknet's (docs/cfg-keys); keys that only training reads stand last in each struct.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "../box.cuh"

namespace dn {

enum class Activation {
    linear,
    logistic,
    loggy,
    relu,
    relu6,
    elu,
    selu,
    gelu,
    relie,
    ramp,
    leaky,
    tanh,
    plse,
    stair,
    hardtan,
    lhtan,
    swish,
    mish,
    hard_mish,
    normalize_channels,
    normalize_channels_softmax,
    normalize_channels_softmax_maxval
};

struct LayerParams {
    virtual ~LayerParams() = default;
};

struct ConvolutionalParams : LayerParams {
    int filters = 1, size = 1, stride_x = 1, stride_y = 1, padding = 0, dilation = 1, groups = 1;
    Activation activation = Activation::logistic;
    bool batch_normalize = false;
    int antialiasing = 0;  // 0 none, 1 blur 3x3, 2 blur 2x2, applied with the strides after a stride-1 convolution
    bool flipped = false;  // the file stores the weights transposed
};

struct PoolParams : LayerParams {                           // maxpool, local_avgpool
    int size = 1, stride_x = 1, stride_y = 1, padding = 0;  // padding: total, not per side
    bool depth = false;                                     // maxpool over channels, into out_channels
    int out_channels = 1;
    int antialiasing = 0;
};

struct RouteParams : LayerParams {
    int groups = 1, group_id = 0;
};

enum class WeightsNormalization { none, relu, softmax };

struct ShortcutParams : LayerParams {
    Activation activation = Activation::linear;
    int weights_per_source = 0;  // 0 unweighted, 1 per feature map (layer), C per channel
    WeightsNormalization normalization = WeightsNormalization::none;
};

struct UpsampleParams : LayerParams {
    int stride = 2;  // negative: sums over blocks
    float scale = 1;
};

struct ReorgParams : LayerParams {  // reorg, reorg3d
    int stride = 1;
    bool reverse = false;
};

struct ScaleChannelsParams : LayerParams {
    bool scale_wh = false;
    Activation activation = Activation::linear;
};

struct SamParams : LayerParams {
    Activation activation = Activation::linear;
};

struct DropoutParams : LayerParams {
    float probability = 0.2f;
};

struct ActivationParams : LayerParams {
    Activation activation = Activation::linear;
};

struct ConnectedParams : LayerParams {
    int output = 1;
    Activation activation = Activation::logistic;
    bool batch_normalize = false;
};

// A class hierarchy (YOLO9000): classes in groups of siblings, a softmax over each group.
struct Tree {
    std::vector<int> parent;      // per class; -1 at the root
    std::vector<int> group_size;  // consecutive classes with one parent
    std::vector<int> group_offset;
};

struct SoftmaxParams : LayerParams {
    int groups = 1;
    float temperature = 1;
    Tree tree;  // empty: none
    bool noloss = false;
};

enum class CostType { sse, masked, smooth };

struct CostParams : LayerParams {
    CostType type = CostType::sse;
    float scale = 1;
};

struct CropParams : LayerParams {
    int crop_height = 1, crop_width = 1;
    bool noadjust = false;
};

struct NormalizationParams : LayerParams {  // local response normalisation
    float alpha = 1e-4f, beta = 0.75f, kappa = 1;
    int size = 5;
};

struct LocalParams : LayerParams {  // convolution with its own weights at each location
    int filters = 1, size = 1, stride = 1;
    bool pad = false;
    Activation activation = Activation::logistic;
};

struct ImplicitParams : LayerParams {
    int filters = 128, atoms = 1;
    float mean = 0, std = 0.2f;
};

struct ContrastiveParams : LayerParams {
    int yolo_layer = 0;  // the head whose embeddings are compared
};

enum class NmsKind { standard, greedy, diou, corners };
struct NmsSettings {
    NmsKind kind = NmsKind::standard;
    float beta = 0.6f;
};
enum class YoloPoint { center, left_top, right_bottom };

struct YoloParams : LayerParams {  // yolo and gaussian_yolo
    int classes = 20, num = 1;
    std::vector<int> mask;
    std::vector<float> anchors;  // num pairs (w, h), in pixels of the network's input
    float scale_x_y = 1;
    bool new_coords = false, gaussian = false;
    YoloPoint point = YoloPoint::center;
    NmsSettings nms;
    int embedding_layer = -1;  // node, or -1

    IouKind iou_loss = IouKind::mse, iou_thresh_kind = IouKind::iou;
    float ignore_thresh = 0.5f, truth_thresh = 1, iou_thresh = 1;
    float iou_normalizer = 0.75f, obj_normalizer = 1, cls_normalizer = 1, delta_normalizer = 1, uc_normalizer = 1;
    float max_delta = std::numeric_limits<float>::max(), label_smooth_eps = 0;
    bool objectness_smooth = false, focal_loss = false;
    std::vector<int> counters_per_class;

    int entries() const { return (gaussian ? 9 : 5) + classes; }  // values per anchor and cell
};

struct RegionParams : LayerParams {
    int classes = 20, coords = 4, num = 1;
    std::vector<float> anchors;  // in grid cells
    bool softmax = false;
    Tree tree;
    std::vector<int> map;  // class of the tree for each class reported; empty: none
    int classfix = 0;

    float thresh = 0.5f, coord_scale = 1, object_scale = 1, noobject_scale = 1, class_scale = 1;
    bool bias_match = false, rescore = false, focal_loss = false;
};

struct DetectionParams : LayerParams {  // YOLOv1
    int classes = 1, coords = 1, num = 1, side = 7;
    bool softmax = false, sqrt = false;
};

struct EmptyParams : LayerParams {};  // avgpool, batchnorm, empty: no keys of their own

}  // namespace dn
