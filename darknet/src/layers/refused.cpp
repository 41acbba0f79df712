// SPDX-License-Identifier: Apache-2.0
// Sections and keys of Darknet and its forks that are refused here, each with what it is or what to write instead.
#include "layer.hpp"

#include "../cfg.hpp"

namespace dn {
namespace {

struct RefusedSection {
    const char* section;
    const char* reason;
};

constexpr const char* kRecurrent = "recurrent layers, which carry state from image to image, are not supported";
constexpr const char* kHistory = "layers that need the frames before this one are not supported";
constexpr const char* kYolor = "sections of YOLOR's PyTorch program are not supported";
constexpr RefusedSection kSections[] = {
    {"rnn", kRecurrent},
    {"gru", kRecurrent},
    {"lstm", kRecurrent},
    {"crnn", kRecurrent},
    {"conv_lstm", kRecurrent},
    {"history", kHistory},
    {"rbm", "restricted Boltzmann machines are not supported"},
    {"deconvolutional", "transposed convolutions are not supported; [upsample] and [convolutional] are"},
    {"iseg", "heads for the segmentation of instances are not supported"},
    {"l2norm", "the normalization of a pixel over its channels is not supported"},
    {"logistic", "sections of this name are not supported; write [activation] with activation=logistic"},
    {"depthwise_convolutional",
     "sections of forks are not supported; write [convolutional] with filters= and groups= the number of channels of "
     "the layer "
     "before"},
    {"mix_convolutional", "convolutions of several sizes in one layer are not supported"},
    {"se", "sections of forks are not supported; write [avgpool], two [convolutional] of size=1 and [scale_channels]"},
    {"yolo_bdp", "heads whose boxes have more than x, y, width and height are not supported"},
    {"implicit_add", kYolor},
    {"implicit_mul", kYolor},
    {"implicit_cat", kYolor},
    {"shift_channels", kYolor},
    {"shift_channels2", kYolor},
    {"control_channels", kYolor},
    {"control_channels2", kYolor},
    {"alternate_channels", kYolor},
    {"alternate_channels2", kYolor},
};

struct RefusedKey {
    Kind kind;
    const char* key;
    const char* idle;  // the value with which it changes nothing
    const char* reason;
};

// Without them the network would load and compute something else, so they are refused with --lenient, too.
constexpr RefusedKey kKeys[] = {
    {Kind::reorg, "extra", "0", "additional outputs are not supported; expected 0"},
    {Kind::yolo, "from", "",
     "heads that read several layers, as in ASFF networks of PyTorch programs, are not supported"},
    {Kind::connected, "transpose", "0", "transposed weights of a fork are not supported; expected 0"},
    {Kind::convolutional, "rectFlg", "0", "kernels that are not square are not supported; expected 0"},
};

}  // namespace

const char* refused_section(const std::string& section) {
    for (const RefusedSection& entry : kSections)
        if (section == entry.section) return entry.reason;
    return nullptr;
}

void refuse_keys(CfgOptions& options) {
    const Kind kind = find_layer(options.section().type)->kind;
    for (const RefusedKey& entry : kKeys)
        if (kind == entry.kind && options.word(entry.key, entry.idle) != entry.idle)
            options.fail(entry.key, entry.reason);
}

}  // namespace dn
