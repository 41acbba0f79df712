// SPDX-License-Identifier: Apache-2.0
// Plans and kernels that define nothing of their own: images in and boxes out by way of the host; no training.
#include "backend.hpp"

#include <chrono>

#include "../error.hpp"
#include "kernel.hpp"

namespace dn {

PrecisionChoice Backend::resolve(Precision asked) const {
    if (asked == Precision::automatic) return automatic();
    std::string known;
    for (const PrecisionChoice& choice : precisions()) {
        if (choice.precision == asked) return choice;
        known += text(known.empty() ? "" : ", ", precision_name(choice.precision));
    }
    throw Error(
        Status::backend, "",
        text("backend \"", name(), "\": found precision ", precision_name(asked), ", expected ", known, " or auto"));
}

bool Plan::read_from(const float*) { return false; }

void Plan::announce(const float*) {}

void Plan::load(const ImageView* images, int n, bool letterbox) {
    for (int i = 0; i < n; ++i) load_image(images[i], letterbox, source_.input, input() + i * source_.input.size());
}

void Plan::compose(const Tile*, int) {
    throw Error(Status::backend, "", "this backend does not compose images: augment them before, and give planes");
}

std::vector<std::vector<Candidate>> Plan::candidates(const std::vector<DecodeOptions>& options) const {
    std::vector<std::vector<Candidate>> found(options.size());
    for (const int head : source_.heads()) {
        const Node& node = source_.nodes[head];
        Floats output(images_ * node.out.size());
        read(head, output.data());
        for (std::size_t i = 0; i < options.size(); ++i)
            decode_head(node, output.data() + i * node.out.size(), source_.input, options[i], found[i]);
    }
    return found;
}

void Plan::backward(const LossContext&, std::vector<LossReport>&) {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no backward pass");
}

void Plan::read_delta(int, float*) const {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no gradients");
}

LayerTime timed_forward(int node, Kernel& kernel) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    kernel.forward();
    return {node, kernel.what(), std::chrono::duration<double>(Clock::now() - start).count()};
}

void Kernel::backward() { throw Error(Status::backend, "", text("kernel ", what(), " has no backward pass")); }

}  // namespace dn
