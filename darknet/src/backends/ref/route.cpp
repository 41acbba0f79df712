// SPDX-License-Identifier: Apache-2.0
// [route]: the channels of its inputs one after the other, or one group of the channels of each.
#include <algorithm>

#include "ref.hpp"

namespace dn::ref {
namespace {

class Route : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<RouteParams>();
        for (int i = 0; i < batch(); ++i) {
            float* y = dst(i);
            for (std::size_t k = 0; k < context_.src.size(); ++k) {
                const int input = static_cast<int>(k);
                const std::size_t count = src_shape(input).size() / params.groups;
                y = std::copy_n(src(i, input) + params.group_id * count, count, y);
            }
        }
    }

    void backward() override {
        const auto& params = node().as<RouteParams>();
        for (int i = 0; i < batch(); ++i) {
            const float* delta = ddst(i);
            for (std::size_t k = 0; k < context_.src.size(); ++k) {
                const int input = static_cast<int>(k);
                const std::size_t count = src_shape(input).size() / params.groups;
                if (float* to = dsrc(i, input)) {
                    to += params.group_id * count;
                    for (std::size_t j = 0; j < count; ++j) to[j] += delta[j];
                }
                delta += count;
            }
        }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_route(const HostContext& context) { return std::make_unique<Route>(context); }

}  // namespace dn::ref
