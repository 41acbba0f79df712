// SPDX-License-Identifier: Apache-2.0
// Which kernel trains a layer.
#include "../../../layers/layer.hpp"
#include "train.hpp"

namespace dn::cuda {
namespace {

constexpr MakeTrainKernel kReference = train_by_reference;

MakeTrainKernel pool_kernel(const Node& node) {
    const auto& params = node.as<PoolParams>();
    constexpr int kLargestWindow = 255;  // whose places have an index
    if (params.antialiasing != 0 || params.size > kLargestWindow) return kReference;
    return node.kind == Kind::maxpool ? train_maxpool : train_local_avgpool;
}

// Of layers whose tensors have one type.
MakeTrainKernel kernel_between(const Node& node, const std::vector<Tensor>& src, const Tensor& dst) {
    switch (node.kind) {
        case Kind::convolutional:
        case Kind::connected:
            return convolves_on_device(node) ? train_convolution : kReference;
        case Kind::batchnorm:
            return train_batchnorm;
        case Kind::activation:
            return train_activation;
        case Kind::maxpool:
        case Kind::local_avgpool:
            return pool_kernel(node);
        case Kind::avgpool:
            return train_avgpool;
        case Kind::route:
            return train_route;
        case Kind::upsample:
            return train_upsample;
        case Kind::reorg:
        case Kind::reorg3d:
            return train_permutation;
        case Kind::crop:
            return train_crop;
        case Kind::dropout:
            return train_dropout;
        case Kind::empty:
            return train_pass_through;
        case Kind::shortcut:
            return adds_on_device(node, src, dst) ? train_shortcut : kReference;
        case Kind::scale_channels:
            return is_pointwise(node.as<ScaleChannelsParams>().activation) ? train_scale_channels : kReference;
        case Kind::sam:
            return is_pointwise(node.as<SamParams>().activation) ? train_sam : kReference;
        case Kind::implicit:
            return train_implicit;
        case Kind::normalization:
            return train_normalization;
        default:
            return kReference;
    }
}

}  // namespace

MakeTrainKernel train_kernel_of(const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute) {
    const bool flat = !src.empty() && src[0].shape.h * src[0].shape.w == 1;
    switch (node.kind) {
        case Kind::yolo:
        case Kind::gaussian_yolo:
            return train_head;
        case Kind::softmax:
            return flat ? train_head : kReference;
        case Kind::region:
            return train_region;
        case Kind::cost:
            return train_pass_through;
        default:
            return dst.type == compute && has_one_type(src, dst) ? kernel_between(node, src, dst) : kReference;
    }
}

}  // namespace dn::cuda
