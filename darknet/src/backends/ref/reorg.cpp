// SPDX-License-Identifier: Apache-2.0
// [reorg]: Darknet's first space-to-depth. Seen as a map of flat indices it is exact and reversible, but forward it
// takes its input for (c/s^2, h s, w s), which shuffles pixels across channels; trained networks depend on that.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Reorg : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        for (int n = 0; n < batch(); ++n)
            for_pairs([&](std::size_t to, std::size_t from) { dst(n)[to] = src(n)[from]; });
    }

    void backward() override {
        for (int n = 0; n < batch() && dsrc(0); ++n)
            for_pairs([&](std::size_t to, std::size_t from) { dsrc(n)[from] += ddst(n)[to]; });
    }

private:
    // Calls visit(index in the output, index in the input) for each value.
    template <class Visit>
    void for_pairs(Visit&& visit) const {
        const auto& params = node().as<ReorgParams>();
        const int s = params.stride;
        const Shape in = src_shape();
        const int depth = in.c / (s * s);
        std::size_t flat = 0;
        for (int k = 0; k < in.c; ++k)
            for (int j = 0; j < in.h; ++j)
                for (int i = 0; i < in.w; ++i, ++flat) {
                    const int block = k / depth;
                    const std::size_t row =
                        std::size_t{1} * j * s + block / s + std::size_t{1} * in.h * s * (k % depth);
                    const std::size_t spread = std::size_t{1} * i * s + block % s + row * in.w * s;
                    params.reverse ? visit(spread, flat) : visit(flat, spread);
                }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_reorg(const KernelContext& context) { return std::make_unique<Reorg>(context); }

}  // namespace dn::ref
