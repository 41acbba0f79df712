// SPDX-License-Identifier: Apache-2.0
// [net]: the input's size and the schedule of training.
#include <algorithm>
#include <cmath>

#include "error.hpp"
#include "graph.hpp"
#include "loss_scale.hpp"

namespace dn {
namespace {

constexpr int kMaxSide = 1 << 15;

void read_input(CfgOptions& o, NetParams& net) {
    net.batch = std::max(1, o.integer("batch", 1, 0, 1 << 20));
    net.subdivisions = std::max(1, o.integer("subdivisions", 1, 0, 1 << 20));
    net.width = o.integer("width", 0, 0, kMaxSide);
    net.height = o.integer("height", 0, 0, kMaxSide);
    net.channels = o.integer("channels", 0, 0, kMaxSide);
    const int inputs = o.integer("inputs", 0, 0, 1 << 28);
    if (inputs > 0 && net.width * net.height * net.channels == 0) {
        net.channels = inputs;  // a flat network: one value per channel
        net.width = net.height = 1;
    }
    for (const char* key : {"width", "height", "channels"}) {
        const int value = key[0] == 'w' ? net.width : key[0] == 'h' ? net.height : net.channels;
        if (value == 0) o.fail(key, text("the input's ", key, " is missing or 0; expected 1 or more"));
    }
    net.letter_box = o.flag("letter_box");
}

// Darknet trains at a constant rate under a policy it does not know, "sig" among them; users ought to hear of it.
void read_policy(CfgOptions& o, NetParams& net, std::vector<std::string>& warnings) {
    const std::vector<std::string> policies = {"constant", "random", "poly", "step", "exp", "sigmoid", "steps", "sgdr"};
    net.policy = o.word("policy", "constant");
    if (std::find(policies.begin(), policies.end(), net.policy) != policies.end()) return;
    const std::string near = closest(net.policy, policies);
    const std::string message =
        text("unknown policy \"", net.policy, "\"", near.empty() ? "" : text("; did you mean \"", near, "\"?"));
    if (net.policy != "sig") o.fail("policy", message);
    warnings.push_back(text(o.section().where("policy"), ": ", message, " The rate stays constant, as in Darknet."));
    net.policy = "constant";
}

void read_schedule(CfgOptions& o, NetParams& net, std::vector<std::string>& warnings) {
    net.learning_rate = o.real("learning_rate", 0.001f);
    net.learning_rate_min = o.real("learning_rate_min", 1e-5f);
    net.momentum = o.real("momentum", 0.9f);
    net.decay = o.real("decay", 0.0001f);
    net.burn_in = o.integer("burn_in", 0);
    net.power = o.real("power", 4);
    net.max_batches = o.integer("max_batches", 0);
    read_policy(o, net, warnings);
    net.steps = o.integers("steps");
    net.scales = o.reals("scales");
    if (net.policy == "steps" && (net.steps.empty() || net.scales.size() < net.steps.size()))
        o.fail(net.steps.empty() ? "steps" : "scales",
               text("policy=steps needs one scale per step; found ", net.steps.size(), " steps and ", net.scales.size(),
                    " scales"));
    net.step = o.integer("step", 1);
    net.scale = o.real("scale", 1);
    net.gamma = o.real("gamma", 1);
    net.sgdr_cycle = o.integer("sgdr_cycle", net.max_batches);
    net.sgdr_mult = o.integer("sgdr_mult", 2);
    net.adam = o.flag("adam");
    net.adam_b1 = o.real("B1", 0.9f);
    net.adam_b2 = o.real("B2", 0.999f);
    net.adam_eps = o.real("eps", 1e-6f);
    net.ema_alpha = o.real("ema_alpha", 0);
    net.loss_scale = o.real("loss_scale", 0);
    if (net.loss_scale != 0 && !LossScale::is_valid(net.loss_scale, 0))
        o.fail("loss_scale",
               text("found loss_scale=", net.loss_scale, ", expected 1 to ", static_cast<int>(LossScale::kLargest),
                    ", or 0 for ", static_cast<int>(LossScale::kStart)));
}

// Keys of other readers, and keys that change no result in Darknet.
void accept_others(CfgOptions& o) {
    // Read by Python: augmentation, sizes, the chart.
    o.accept({"saturation", "exposure", "hue", "flip", "blur", "gaussian_noise", "mixup", "cutmix", "mosaic",
              "mosaic_bound", "resize_step", "max_chart_loss"});
    o.accept({"optimized_memory", "workspace_size_limit_MB", "use_cuda_graph", "attention", "show_receptive_field"});
    // Of public files; no Darknet reads them.
    o.accept({"letterbox", "random", "max_epochs", "init_sequential_subdivisions", "cudnn_half", "seen", "swa",
              "swa_start"});
}

void report_unsupported(CfgOptions& o) {
    // Sequences and recurrent layers.
    o.unsupported("time_steps", 1);
    o.unsupported("augment_speed", 2);
    o.unsupported({"track", "sequential_subdivisions", "seq_scales"});
    // Classifiers and embeddings.
    o.unsupported("aspect", 1);
    o.unsupported({"angle", "min_crop", "max_crop", "label_smooth_eps", "unsupervised", "contrastive",
                   "contrastive_jit_flip", "contrastive_color", "adversarial_lr"});
    // Experiments of Darknet's training on a GPU.
    o.unsupported({"try_fix_nan", "dynamic_minibatch", "weights_reject_freq", "equidistant_point",
                   "badlabels_rejection_percentage", "num_sigmas_reject_badlabels"});
}

}  // namespace

NetParams read_net(CfgOptions& o, std::vector<std::string>& warnings) {
    NetParams net;
    read_input(o, net);
    read_schedule(o, net, warnings);
    accept_others(o);
    report_unsupported(o);
    return net;
}

}  // namespace dn
