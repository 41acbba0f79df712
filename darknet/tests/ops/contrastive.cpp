// SPDX-License-Identifier: Apache-2.0
// [contrastive]: what it must point at.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kHead =
    "[convolutional]\nfilters=4\nactivation=linear\n"
    "[convolutional]\nfilters=6\nactivation=linear\n"
    "[yolo]\nclasses=1\nnum=1\nanchors=4,4\nembedding_layer=-2\n";

}  // namespace

TEST_CASE("contrastive: its input, the embeddings, passes through") {
    const auto set = [](Parameters& parameters) {
        parameters.nodes[0].weights = {1, 2, 3, 4};
        parameters.nodes[0].biases = {0, 0, 0, 1};
    };
    const std::string end = "[route]\nlayers=0\n[contrastive]\nyolo_layer=-2\nclasses=1\n";
    check_op({kHead + end, {1, 1, 2}, {1, 2}, set}, {1, 2, 2, 4, 3, 6, 5, 9});
}

TEST_CASE("contrastive: refuses a layer that is not a head, and embeddings of another shape") {
    CHECK_CONTAINS(cfg_error(kHead + "[contrastive]\nyolo_layer=0\n", {1, 1, 2}),
                   "layer 0 is net.cfg:5 [convolutional]");
    CHECK_CONTAINS(cfg_error(kHead + "[contrastive]\nyolo_layer=-1\n", {1, 1, 2}), "the shape of the embeddings");
    CHECK_CONTAINS(cfg_error(kHead + "[contrastive]\n", {1, 1, 2}), "yolo_layer: is missing");
}
