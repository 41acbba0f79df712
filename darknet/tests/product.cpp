// SPDX-License-Identifier: Apache-2.0
// Convolutions as products by loops of our own against ref: windows, strides and paddings, channels that fill no
// vector, slices.
#if defined(DN_HAVE_ONEDNN)
#include "conv_methods.hpp"

using namespace dn;
using namespace dn::test;

namespace {

std::string window(int filters, int size, const std::string& more = "", const std::string& activation = "leaky") {
    return text("[convolutional]\nbatch_normalize=1\nsize=", size, "\nfilters=", filters, "\nactivation=", activation,
                "\n", more);
}

void check_products(const ConvCase& net, double tolerance = 2e-6) {
    CAPTURE(net.sections);
    CAPTURE(net.input.h);
    CAPTURE(net.input.w);
    std::string what;
    const Floats expected = output_of("ref", net, ConvMethod::automatic, 1, nullptr);
    const Floats found = output_of("cpu", net, ConvMethod::products, 1, &what);
    CHECK_CONTAINS(what, "product");
    CHECK(relative_error(found, expected) <= tolerance);
    CHECK(output_of("cpu", net, ConvMethod::products, 3, nullptr) == found);  // whatever the threads
}

}  // namespace

TEST_CASE("product: maps of every size up to a few rows of sums") {
    for (int width = 1; width <= 14; ++width) {
        check_products({window(16, 1), {8, 3, width}, 2});
        check_products({window(16, 3, "pad=1\n"), {8, 15 - width, width}, 2});
    }
    check_products({window(40, 1), {24, 40, 37}});  // several blocks of pixels
}

TEST_CASE("product: windows, strides and paddings") {
    for (const char* more :
         {"pad=1\n", "pad=1\nstride=2\n", "padding=2\n", "stride_x=2\nstride_y=3\n", "pad=1\nstride=4\n"})
        for (int size : {1, 2, 3, 5}) {
            CAPTURE(size);
            check_products({window(20, size, more), {3, 13, 17}, 2});
        }
    check_products({window(32, 3, "pad=1\nstride=2\n"), {3, 96, 70}});  // several bands
}

TEST_CASE("product: channels and filters that fill no vector and no panel") {
    for (int channels : {1, 3, 17, 66})
        for (int filters : {1, 7, 16, 31, 33, 255}) check_products({window(filters, 1), {channels, 5, 6}});
}

TEST_CASE("product: two convolutions in one step, with rows of the first in the cache alone") {
    for (const char* more : {"pad=1\n", "pad=1\nstride=2\n", "padding=3\n", "stride=3\n"})
        for (int size : {2, 3, 5}) {
            const ConvCase net{window(12, 3, "pad=1\n") + window(18, size, more, "mish"), {5, 27, 22}, 2};
            check_products(net, 4e-6);
            std::string what;
            output_of("cpu", net, ConvMethod::products, 1, &what);
            CHECK_CONTAINS(what, "product2");
        }
    check_products({window(32, 3, "pad=1\n") + window(24, 3, "pad=1\nstride=2\n"), {3, 90, 70}},
                   4e-6);  // several bands
}

TEST_CASE("product: activations, fused shortcuts, and slices of wider tensors") {
    for (const char* activation : {"linear", "leaky", "relu", "logistic", "swish", "mish"}) {
        CAPTURE(activation);
        check_products({window(24, 1, "", activation), {8, 13, 9}});
        check_products(
            {window(20, 1) + window(20, 3, "pad=1\n", activation) + "[shortcut]\nfrom=-2\nactivation=leaky\n",
             {8, 13, 9},
             2});
    }
    check_products({window(24, 1) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + window(12, 3, "pad=1\n", "mish") +
                        "[route]\nlayers=-1,-3\n",
                    {8, 9, 10},
                    2},
                   4e-6);
}
#endif
