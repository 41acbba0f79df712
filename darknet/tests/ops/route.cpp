// SPDX-License-Identifier: Apache-2.0
// [route] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kTwo = "[empty]\n[upsample]\nstride=1\nscale=10\n";

}  // namespace

TEST_CASE("route: channels one after the other, in the order of the list, image by image") {
    check_op({kTwo + "[route]\nlayers=-1,0\n", {1, 1, 2}, {1, 2, 3, 4}}, {10, 20, 1, 2, 30, 40, 3, 4});
}

TEST_CASE("route: groups take the same part of each source") {
    check_op({kTwo + "[route]\nlayers=0,1\ngroups=2\ngroup_id=1\n", {2, 1, 1}, {1, 2}}, {2, 20});
}

TEST_CASE("route: what cannot be is refused, with the line") {
    CHECK_CONTAINS(cfg_error("[route]\n", {1, 1, 2}), "net.cfg:5 [route] layers: is missing");
    CHECK_CONTAINS(cfg_error("[empty]\n[route]\nlayers=-2\n", {1, 1, 2}),
                   "net.cfg:7 [route] layers: found -2, which means layer -1 seen from layer 1");
    CHECK_CONTAINS(cfg_error("[empty]\n[route]\nlayers=1\n", {1, 1, 2}), "expected a layer before this one");
    CHECK_CONTAINS(cfg_error("[empty]\n[upsample]\n[route]\nlayers=0,1\n", {1, 1, 2}),
                   "layer 1 is 4 x 2, expected 2 x 1 as layer 0");
    CHECK_CONTAINS(cfg_error("[empty]\n[route]\nlayers=0\ngroups=2\n", {3, 1, 2}),
                   "groups=2 does not divide the 3 channels");
    CHECK_CONTAINS(cfg_error("[empty]\n[route]\nlayers=0\ngroups=2\ngroup_id=2\n", {4, 1, 2}),
                   "found 2, expected 0 to 1");
}
