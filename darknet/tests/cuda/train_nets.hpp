// SPDX-License-Identifier: Apache-2.0
// Networks for tests of training on the fake GPU, and a short training of them.
#pragma once

#include "fake_gpu.hpp"
#include "kernels.hpp"
#include "trainer.hpp"

namespace dn::test {

constexpr int kImages = 2;

// The layers of yolov4-tiny, and those whose backward pass keeps something or has tables.
inline const std::string kTiny =
    "[net]\nbatch=2\nwidth=16\nheight=16\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=mish\n"
    "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=swish\n"
    "[route]\nlayers=-1,-2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=1\nactivation=leaky\n"
    "[shortcut]\nfrom=-5\nactivation=mish\nweights_type=per_channel\n"
    "[route]\nlayers=-1,-2\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[dropout]\nprobability=0.2\n"
    "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nnum=2\nanchors=4,4, 6,8\nclasses=2\nscale_x_y=1.1\n"
    "[route]\nlayers=-3\n"
    "[reorg]\nstride=2\n"
    "[upsample]\nstride=2\n"
    "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nnum=2\nanchors=4,4, 6,8\nclasses=2\n";

inline const std::string kClassifier =
    "[net]\nbatch=2\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=leaky\nstopbackward=1\n"
    "[convolutional]\nfilters=6\nsize=3\npad=1\nactivation=logistic\n"
    "[normalization]\n[batchnorm]\n[activation]\nactivation=swish\n"
    "[sam]\nfrom=-4\n"
    "[avgpool]\n[scale_channels]\nfrom=-2\nactivation=mish\n"
    "[local_avgpool]\nsize=2\nstride=2\n"
    "[connected]\noutput=12\nbatch_normalize=1\nactivation=mish\n"
    "[connected]\noutput=4\nactivation=linear\n[softmax]\n";

inline Floats images_of(const Graph& graph) {
    Floats images(kImages * graph.input.size());
    for (std::size_t k = 0; k < images.size(); ++k) images[k] = static_cast<float>(k * 37 % 101) / 100;
    return images;
}

// A box in each image, or one class of four.
inline Floats truths_of(const Graph& graph) {
    if (graph.nodes.back().kind == Kind::softmax) return {0, 1, 0, 0, 0, 0, 0, 1};
    return {0.3f, 0.35f, 0.4f, 0.5f, 1, 0, 0, 0, 0, 0, 0, 0, 0.7f, 0.6f, 0.5f, 0.4f, 0, 0, 0, 0, 0, 0, 0, 0};
}

// Two mini-batches and an update, twice: every parameter and gradient. after(trainer) is called between the two.
template <class After>
Floats train(const std::string& cfg, const std::shared_ptr<const Backend>& backend, Precision precision,
             const After& after) {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    const Network network(parse_cfg(cfg, "net.cfg"), "", options);
    const Graph& graph = network.graph();
    Trainer trainer(network, backend, precision);
    const Floats images = images_of(graph), truths = truths_of(graph);
    for (int mini_batch = 0; mini_batch < 4; ++mini_batch) {
        trainer.accumulate(images.data(), kImages, truths.data(), truths.size() / kImages);
        if (mini_batch % 2) trainer.update();
        if (mini_batch == 1) after(trainer);
    }
    Floats all;
    for (const Node& node : graph.nodes)
        for (const StateKind kind : {StateKind::parameters, StateKind::gradients})
            for (const Role role : kRoles) {
                Floats values(trainer.count(kind, node.index, role));
                trainer.get(kind, node.index, role, values.data(), values.size());
                all.insert(all.end(), values.begin(), values.end());
            }
    return all;
}

inline Floats train(const std::string& cfg, const std::shared_ptr<const Backend>& backend) {
    return train(cfg, backend, Precision::f32, [](const Trainer&) {});
}

}  // namespace dn::test
