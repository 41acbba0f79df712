// SPDX-License-Identifier: Apache-2.0
// darknet_compat.h: loading, freeing and running networks.
#include <algorithm>

#include "compat/handle.hpp"

namespace {

using namespace dn::compat;

constexpr int max_batch = 1024;

network* load(const char* cfg, const char* weights, int batch) {
    return or_else<network*>(nullptr, [&] {
        if (batch > max_batch)
            throw dn::Error(dn::Status::invalid_argument, "",
                            dn::text("found batch ", batch, ", expected at most ", max_batch));
        auto state = std::make_shared<State>(cfg, weights, batch);
        auto owner = std::make_unique<std::shared_ptr<State>>(state);
        Block<network> block(allocate<network>(1));
        block->n = state->layers();
        block->batch = state->batch();
        block->state = owner.release();
        return block.release();
    });
}

// The image at the network's size: planes, and where nothing had to change the caller's own.
class Fitted {
public:
    Fitted(const image& im, dn::Shape input, bool letterbox) : data_(im.data) {
        const dn::Shape from = checked(im);
        if (from.c != input.c)
            throw dn::Error(dn::Status::invalid_argument, "image",
                            dn::text("has ", from.c, " channels, the network takes ", input.c));
        if (from == input) return;
        own_.resize(input.size());
        (letterbox ? dn::letterbox_planes : dn::resize_planes)(im.data, from, input, own_.data());
        data_ = own_.data();
    }
    const float* data() const { return data_; }

private:
    std::vector<float> own_;
    const float* data_;
};

// The client's view of the output; it was never meant to be written to.
float* output_of(const std::shared_ptr<const Forward>& forward) { return const_cast<float*>(forward->output.data()); }

float* predict_image(network* net, const image& im, bool letterbox) {
    return or_else<float*>(nullptr, [&] {
        const auto state = state_of(net);
        const Fitted fitted(im, state->input(), letterbox);
        const auto forward = state->predict(fitted.data(), 1);
        net->batch = 1;
        return output_of(forward);
    });
}

}  // namespace

network* load_network_custom(char* cfg, char* weights, int, int batch) { return load(cfg, weights, batch); }
network* load_network(char* cfg, char* weights, int) { return load(cfg, weights, 0); }

void free_network_ptr(network* net) {
    if (!net) return;
    const std::unique_ptr<std::shared_ptr<State>> owner(net->state);
    net->state = nullptr;
}

void set_batch_network(network* net, int batch) {
    dn::guarded([&] {
        state_of(net);
        if (batch < 1 || batch > max_batch)
            throw dn::Error(dn::Status::invalid_argument, "",
                            dn::text("found batch ", batch, ", expected 1 to ", max_batch));
        net->batch = batch;
    });
}

int network_width(network* net) {
    return or_else(0, [&] { return state_of(net)->input().w; });
}
int network_height(network* net) {
    return or_else(0, [&] { return state_of(net)->input().h; });
}

void darknet_network_dimensions(network* net, int* w, int* h, int* c) {
    dn::guarded([&] {
        const dn::Shape input = state_of(net)->input();
        dn::need(w, "w") = input.w;
        dn::need(h, "h") = input.h;
        dn::need(c, "c") = input.c;
    });
}

void reset_rnn(network*) {}
void calculate_binary_weights(network*) {}
void cuda_set_device(int device) { choose_device(device); }
void init_cpu(void) {}

float* network_predict_ptr(network* net, float* input) {
    return or_else<float*>(nullptr, [&] {
        const auto state = state_of(net);
        return output_of(state->predict(&dn::need(input, "input"), std::max(1, net->batch)));
    });
}

float* network_predict_image(network* net, image im) { return predict_image(net, im, false); }
float* network_predict_image_letterbox(network* net, image im) { return predict_image(net, im, true); }
