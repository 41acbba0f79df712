// SPDX-License-Identifier: Apache-2.0
// [reorg3d]: space-to-depth, y[k, j, i] = x[k mod C, j s + (k/C)/s, i s + (k/C) mod s]. The reverse is Darknet's, which
// does not undo it: the same map as [reorg]'s, for the shape of the output.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Reorg3d : public RefKernel {
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
        params.reverse ? depth_to_space(params.stride, visit) : space_to_depth(params.stride, visit);
    }

    template <class Visit>
    void space_to_depth(int s, Visit& visit) const {
        const Shape in = src_shape(), out = node().out;
        std::size_t to = 0;
        for (int k = 0; k < out.c; ++k) {
            const int channel = k % in.c, block = k / in.c;
            for (int j = 0; j < out.h; ++j)
                for (int i = 0; i < out.w; ++i)
                    visit(to++, (std::size_t{1} * channel * in.h + j * s + block / s) * in.w + i * s + block % s);
        }
    }

    template <class Visit>
    void depth_to_space(int s, Visit& visit) const {
        const Shape out = node().out;
        const int depth = out.c / (s * s);
        std::size_t from = 0;
        for (int k = 0; k < out.c; ++k)
            for (int j = 0; j < out.h; ++j)
                for (int i = 0; i < out.w; ++i) {
                    const int block = k / depth;
                    const std::size_t row =
                        std::size_t{1} * j * s + block / s + std::size_t{1} * out.h * s * (k % depth);
                    visit(std::size_t{1} * i * s + block % s + row * out.w * s, from++);
                }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_reorg3d(const KernelContext& context) { return std::make_unique<Reorg3d>(context); }

}  // namespace dn::ref
