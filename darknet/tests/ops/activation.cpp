// SPDX-License-Identifier: Apache-2.0
// [activation] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("activation: leaky keeps what is positive and shrinks the rest tenfold") {
    check_op({"[activation]\nactivation=leaky\n", {1, 1, 4}, {-2, -0.5f, 0, 3}}, {-0.2f, -0.05f, 0, 3});
}

TEST_CASE("activation: functions that Darknet's CPU build answers with zeros are computed") {
    check_op({"[activation]\nactivation=relu6\n", {1, 1, 3}, {-1, 2, 8}}, {0, 2, 6});
    check_op({"[activation]\nactivation=hard_mish\n", {1, 1, 4}, {-3, -1, 0, 2}}, {0, -0.5f, 0, 2});
}

TEST_CASE("activation: a misspelt name is an error with the nearest one") {
    const std::string message = cfg_error("[activation]\nactivation=leeky\n", {1, 2, 2});
    CHECK_CONTAINS(message, "net.cfg:6 [activation] activation");
    CHECK_CONTAINS(message, "unknown activation \"leeky\"; did you mean \"leaky\"?");
}
