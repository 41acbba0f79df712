// SPDX-License-Identifier: Apache-2.0
// The table of gradients.cpp: every layer that learns or passes gradients on, in all that its keys change.
#pragma once

#include <string>
#include <vector>

#include "graph.hpp"

namespace dn::test {

// In front of each case stands layer 0, a [local] of 1x1 windows with weights and biases at each location: their
// gradients are those of the case's input. Behind it stands a [cost].
struct Case {
    Kind kind;  // the layer under test
    std::string name;
    std::string sections;
    Shape input{3, 6, 5};
    // A node whose gradient is, by Darknet's rule, this part of the true one.
    int shared_node = -1;
    float share = 1;
};

inline std::string conv(const std::string& keys, const std::string& activation = "linear") {
    return "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=" + activation + "\n" + keys;
}

inline const char* const kActivations[] = {"linear",  "logistic", "loggy", "relu",  "relu6",    "elu",  "selu",
                                           "gelu",    "relie",    "ramp",  "leaky", "tanh",     "plse", "stair",
                                           "hardtan", "lhtan",    "swish", "mish",  "hard_mish"};

inline void add_activations(std::vector<Case>& cases) {
    for (const std::string activation : kActivations) {
        const std::string key = "activation=" + activation + "\n";
        cases.push_back({Kind::activation, activation, "[activation]\n" + key});
        cases.push_back({Kind::convolutional, activation, conv("batch_normalize=1\n", activation)});
    }
    for (const std::string activation : {"linear", "leaky", "logistic", "swish", "mish", "gelu", "hard_mish"}) {
        const std::string key = "activation=" + activation + "\n";
        cases.push_back({Kind::connected, activation, "[connected]\noutput=7\n" + key});
        cases.push_back({Kind::local, activation, "[local]\nfilters=2\nsize=3\npad=1\nstride=2\n" + key});
        cases.push_back({Kind::shortcut, activation, conv("") + "[shortcut]\nfrom=-2\n" + key, {4, 6, 5}});
        cases.push_back({Kind::sam, activation, conv("") + "[sam]\nfrom=-2\n" + key, {4, 6, 5}});
        cases.push_back({Kind::scale_channels, activation, "[avgpool]\n[scale_channels]\nfrom=-2\n" + key});
    }
}

inline void add_convolutions(std::vector<Case>& cases) {
    const auto add = [&](const std::string& name, const std::string& sections, Shape input = {4, 6, 5}) {
        cases.push_back({Kind::convolutional, name, sections, input});
    };
    add("1x1", "[convolutional]\nfilters=5\nsize=1\nactivation=mish\n");
    add("groups", conv("groups=2\n", "mish"));
    add("depthwise", conv("groups=4\nbatch_normalize=1\n", "swish"));
    add("stride", conv("stride=2\n", "mish"));
    add("two strides", conv("stride_x=1\nstride_y=2\n", "mish"));
    add("dilation", conv("dilation=2\n", "mish"), {4, 8, 7});
    add("dilation of groups", conv("dilation=2\ngroups=2\nbatch_normalize=1\n"), {4, 8, 7});
    add("antialiasing 1", conv("stride=2\nantialiasing=1\nbatch_normalize=1\n", "mish"));
    add("antialiasing 2", conv("stride=2\nantialiasing=2\n", "mish"));
    add("no padding", "[convolutional]\nfilters=3\nsize=3\npadding=0\nactivation=linear\n");
    add("read again behind it", conv("", "mish") + "[shortcut]\nfrom=-2\nactivation=linear\n");
    add("shared weights", conv("batch_normalize=1\n") + conv("share_index=1\nbatch_normalize=1\n"));
}

inline void add_pools_and_movers(std::vector<Case>& cases) {
    const auto add = [&](Kind kind, const std::string& name, const std::string& sections, Shape input = {4, 6, 6}) {
        cases.push_back({kind, name, sections, input});
    };
    add(Kind::maxpool, "halves", "[maxpool]\nsize=2\nstride=2\n");
    add(Kind::maxpool, "overlaps", "[maxpool]\nsize=3\nstride=1\n[shortcut]\nfrom=-2\nactivation=linear\n");
    add(Kind::maxpool, "two strides", "[maxpool]\nsize=3\nstride_x=1\nstride_y=2\n");
    add(Kind::maxpool, "depth", "[maxpool]\nmaxpool_depth=1\nout_channels=2\n");
    add(Kind::maxpool, "antialiasing", "[maxpool]\nsize=2\nstride=2\nantialiasing=1\n");
    add(Kind::local_avgpool, "halves", "[local_avgpool]\nsize=2\nstride=2\n");
    add(Kind::local_avgpool, "overlaps", "[local_avgpool]\nsize=3\nstride=1\n");
    add(Kind::avgpool, "", "[avgpool]\n");
    add(Kind::upsample, "", "[upsample]\nstride=2\nscale=0.5\n", {4, 3, 2});
    add(Kind::upsample, "read again in front",
        "[upsample]\nstride=2\n[route]\nlayers=0\n[upsample]\nstride=2\n"
        "[shortcut]\nfrom=-3\nactivation=linear\n",
        {4, 3, 2});
    add(Kind::upsample, "backwards", "[upsample]\nstride=-2\nscale=0.5\n");
    add(Kind::reorg, "", "[reorg]\nstride=2\n");
    add(Kind::reorg, "reverse", "[reorg]\nstride=2\nreverse=1\n");
    add(Kind::reorg3d, "", "[reorg3d]\nstride=2\n");
    add(Kind::reorg3d, "reverse", "[reorg3d]\nstride=2\nreverse=1\n", {16, 2, 3});
    add(Kind::reorg3d, "values left out", "[reorg3d]\nstride=2\n", {4, 5, 5});
    add(Kind::route, "", conv("") + "[route]\nlayers=-1,0\n");
    add(Kind::route, "groups", conv("") + "[route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n");
    add(Kind::route, "one layer twice", "[route]\nlayers=0,0\n");
    add(Kind::dropout, "", "[dropout]\nprobability=0.4\n");
    add(Kind::empty, "", "[empty]\n");
    add(Kind::normalization, "", "[normalization]\nalpha=0.3\nsize=3\nkappa=2\n", {6, 3, 2});
    add(Kind::normalization, "wide", "[normalization]\nalpha=0.2\nsize=9\nkappa=3\n", {6, 3, 2});
}

inline void add_sums_and_products(std::vector<Case>& cases) {
    const auto add = [&](Kind kind, const std::string& name, const std::string& sections, Shape input = {4, 6, 5}) {
        cases.push_back({kind, name, sections, input});
    };
    add(Kind::batchnorm, "", "[batchnorm]\n");
    add(Kind::batchnorm, "read again behind it", "[batchnorm]\n[shortcut]\nfrom=-2\nactivation=linear\n");
    add(Kind::activation, "read again behind it",
        "[activation]\nactivation=mish\n[shortcut]\nfrom=-2\nactivation=linear\n");
    add(Kind::connected, "normalised",
        "[activation]\nactivation=mish\n[connected]\noutput=7\nactivation=swish\nbatch_normalize=1\n", {3, 2, 2});
    add(Kind::shortcut, "fewer channels",
        "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[shortcut]\nfrom=-2\nactivation=linear\n");
    add(Kind::shortcut, "more channels",
        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[shortcut]\nfrom=-2\nactivation=linear\n");
    add(Kind::shortcut, "a larger source",
        "[convolutional]\nfilters=3\nsize=3\npad=1\nstride=2\nactivation=mish\n[shortcut]\nfrom=-2\nactivation=swish\n",
        {4, 6, 4});
    add(Kind::shortcut, "a larger source with weights",
        "[convolutional]\nfilters=6\nsize=3\npad=1\nstride=3\nactivation=mish\n"
        "[shortcut]\nfrom=-2\nweights_type=per_channel\nactivation=linear\n",
        {4, 6, 3});
    add(Kind::shortcut, "three sources", conv("") + conv("") + "[shortcut]\nfrom=-2,-3\nactivation=swish\n");
    add(Kind::shortcut, "a weight for each source",
        conv("") + "[shortcut]\nfrom=-2\nweights_type=per_feature\nactivation=linear\n");
    add(Kind::shortcut, "a weight for each channel",
        conv("") + conv("") + "[shortcut]\nfrom=-2,-3\nweights_type=per_channel\nactivation=swish\n");
    add(Kind::implicit, "alone behind a layer", "[implicit]\nfilters=4\natoms=3\n", {2, 3, 1});
    add(Kind::implicit, "", "[implicit]\nfilters=4\natoms=3\n[route]\nlayers=-1,0\n", {2, 3, 1});
    cases.push_back({Kind::scale_channels,
                     "one factor for each pixel",
                     "[implicit]\nfilters=1\natoms=3\n[scale_channels]\nfrom=-2\nscale_wh=1\n",
                     {2, 3, 1},
                     1,
                     1.0f / 3});
    // It asks for the same as the cost behind it: together twice the gradient.
    for (const std::string type : {"sse", "smooth", "masked"})
        cases.push_back({Kind::cost, type, "[cost]\ntype=" + type + "\n[empty]\n", {4, 6, 5}, 0, 2});
}

inline std::vector<Case> all_cases() {
    std::vector<Case> cases;
    add_activations(cases);
    add_convolutions(cases);
    add_pools_and_movers(cases);
    add_sums_and_products(cases);
    return cases;
}

}  // namespace dn::test
