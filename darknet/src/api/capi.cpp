// SPDX-License-Identifier: Apache-2.0
// darknet.h over the engine: networks, inference, weights.
#include "capi.hpp"

#include <algorithm>

#include "../backends/registry.hpp"
#include "../error.hpp"
#include "build_info.hpp"

struct dn_detections {
    std::vector<std::vector<dn::Detection>> images;
};

static_assert(sizeof(dn_detection) == sizeof(dn::Detection), "dn_detection mirrors dn::Detection");

namespace {

using dn::guarded;
using dn::need;

thread_local std::string last_error;

dn::NetworkOptions convert(const dn_options* options) {
    dn::NetworkOptions out;
    if (!options) return out;
    out.backend = options->backend ? options->backend : "auto";
    out.precision = dn::parse_precision(options->precision ? options->precision : "auto");
    out.batch = options->batch;
    out.threads = options->threads;
    out.strict = options->strict != 0;
    return out;
}

dn::ImageView convert(const dn_image& image) {
    if (!image.data || image.width < 1 || image.height < 1 || image.channels < 1 ||
        (image.depth != 1 && image.depth != 2) ||
        image.stride < static_cast<std::size_t>(image.width) * image.channels * image.depth)
        throw dn::Error(dn::Status::invalid_argument, "",
                        dn::text("found an image of ", image.width, " x ", image.height, " x ", image.channels, ", ",
                                 image.depth, " bytes a value, ", image.stride,
                                 " bytes a row; expected positive sizes, 1 or 2 "
                                 "bytes a value, and rows that hold their pixels"));
    return {image.data, image.width, image.height, image.channels, image.stride, image.depth, image.bgr != 0};
}

const char* entry(const std::vector<std::string>& lines, int i) {
    return i >= 0 && i < static_cast<int>(lines.size()) ? lines[i].c_str() : nullptr;
}

void load(const dn::Cfg& cfg, const char* weights, const dn_options* options, dn_network** out) {
    need(out, "out");
    *out = std::make_unique<dn_network>(dn::Network(cfg, weights ? weights : "", convert(options))).release();
}

}  // namespace

namespace dn {

dn_status fail(Status status, const char* message) noexcept {
    try {
        last_error = message;
    } catch (...) {
        last_error.clear();
    }
    return static_cast<dn_status>(status);
}

}  // namespace dn

const char* dn_last_error(void) { return last_error.c_str(); }
const char* dn_version(void) { return DN_VERSION; }

int dn_abi(void) { return DN_ABI; }

const char* dn_build_info(void) {
    static const std::string info = dn::build_info();
    return info.c_str();
}

dn_status dn_library_folders(const char* const* folders, int count) {
    return guarded([&] {
        std::vector<std::string> names;
        if (count > 0) need(folders, "folders");
        for (int i = 0; i < count; ++i) names.emplace_back(&need(folders[i], "a folder"));
        dn::set_library_folders(std::move(names));
    });
}

dn_status dn_network_load(const char* cfg, const char* weights, const dn_options* options, dn_network** out) {
    return guarded([&] { load(dn::read_cfg(&need(cfg, "cfg")), weights, options, out); });
}

dn_status dn_network_parse(const char* text, size_t length, const char* name, const char* weights,
                           const dn_options* options, dn_network** out) {
    return guarded([&] {
        const std::string_view content(&need(text, "text"), length);
        load(dn::parse_cfg(content, name ? name : "<text>"), weights, options, out);
    });
}

dn_status dn_plan_bytes(const char* text, size_t length, const char* name, const dn_options* options, int width,
                        int height, int training, dn_memory* out) {
    return guarded([&] {
        const dn::Cfg cfg = dn::parse_cfg({&need(text, "text"), length}, name ? name : "<text>");
        const dn::MemoryNeed found = dn::memory_need(cfg, convert(options), width, height, training != 0);
        need(out, "out") = {found.plan, found.parameters, found.free};
    });
}

dn_status dn_network_clone(const dn_network* network, dn_network** out) {
    return guarded([&] {
        need(out, "out");
        *out = std::make_unique<dn_network>(dn::Network(need(network, "network").net)).release();
    });
}

void dn_network_free(dn_network* network) { std::unique_ptr<dn_network>{network}; }

dn_status dn_network_resize(dn_network* network, int width, int height) {
    return guarded([&] {
        need(network, "network").net.resize(width, height);
        network->describe();
    });
}

dn_status dn_network_set_batch(dn_network* network, int batch) {
    return guarded([&] { need(network, "network").net.set_batch(batch); });
}

dn_status dn_network_get_info(const dn_network* network, dn_network_info* out) {
    return guarded([&] {
        const dn::Network& net = need(network, "network").net;
        const dn::Graph& graph = net.graph();
        const dn::Plan* plan = net.compiled_plan();
        dn_network_info info{};
        info.layers = static_cast<int>(graph.nodes.size());
        info.batch = net.options().batch;
        info.threads = net.options().threads;
        info.width = graph.input.w;
        info.height = graph.input.h;
        info.channels = graph.input.c;
        info.stride = graph.stride();
        info.classes = net.classes();
        info.letter_box = graph.net.letter_box;
        info.layers_loaded = net.weights_report().layers_loaded;
        info.seen = net.weights_report().seen;
        for (const dn::Node& node : graph.nodes) {
            info.parameters += node.parameter_count();
            info.bflops += node.flops / 1e9;
        }
        info.activation_bytes = plan ? plan->activation_bytes() : 0;
        info.backend = net.backend_name().c_str();
        info.precision = dn::precision_name(net.precision().precision);
        info.device = net.device().c_str();
        info.precision_reason = net.precision().reason.c_str();
        need(out, "out") = info;
    });
}

dn_status dn_network_get_layer(const dn_network* network, int layer, dn_layer_info* out) {
    return guarded([&] {
        const dn::Node& node = need(network, "network").net.graph().node(layer);
        dn_layer_info info{};
        info.type = dn::layer_def(node.kind).name;
        info.where = node.where.c_str();
        info.description = network->descriptions[layer].c_str();
        info.in_c = node.in.c, info.in_h = node.in.h, info.in_w = node.in.w;
        info.out_c = node.out.c, info.out_h = node.out.h, info.out_w = node.out.w;
        info.is_head = node.is_head();
        info.parameters = node.parameter_count();
        info.bflops = node.flops / 1e9;
        info.inputs = node.inputs.data();
        info.input_count = static_cast<int>(node.inputs.size());
        need(out, "out") = info;
    });
}

const char* dn_network_warning(const dn_network* network, int i) {
    return network ? entry(network->net.graph().warnings, i) : nullptr;
}

const char* dn_network_without_effect(const dn_network* network, int i) {
    return network ? entry(network->net.graph().without_effect, i) : nullptr;
}

dn_status dn_network_predict(dn_network* network, const float* x, int n, const int* layers, int layer_count) {
    return guarded([&] {
        const std::vector<int> wanted =
            layers ? std::vector<int>(layers, layers + std::max(0, layer_count)) : std::vector<int>{};
        need(network, "network").net.predict(&need(x, "x"), n, wanted);
    });
}

dn_status dn_network_read(const dn_network* network, int layer, float* dst, size_t count) {
    return guarded([&] {
        need(network, "network").net.graph().node(layer);
        network->net.read(layer, &need(dst, "dst"), count);
    });
}

dn_status dn_network_detect(dn_network* network, const dn_image* images, int count, const dn_detect_options* options,
                            dn_detections** out) {
    return guarded([&] {
        need(out, "out");
        const dn_detect_options& given = need(options, "options");
        std::vector<dn::ImageView> views;
        for (int i = 0; i < count; ++i) views.push_back(convert((&need(images, "images"))[i]));
        auto found = std::make_unique<dn_detections>();
        found->images =
            need(network, "network").net.detect(views.data(), count, {given.thresh, given.nms, given.letterbox != 0});
        *out = found.release();
    });
}

const dn_detection* dn_detections_of(const dn_detections* detections, int image, int* count) {
    const bool valid = detections && image >= 0 && image < static_cast<int>(detections->images.size());
    if (count) *count = valid ? static_cast<int>(detections->images[image].size()) : 0;
    return valid ? reinterpret_cast<const dn_detection*>(detections->images[image].data()) : nullptr;
}

void dn_detections_free(dn_detections* detections) { std::unique_ptr<dn_detections>{detections}; }

dn_status dn_network_preprocess(const dn_network* network, const dn_image* image, int letterbox, float* dst,
                                size_t count) {
    return guarded([&] {
        const dn::Shape input = need(network, "network").net.graph().input;
        if (count != input.size())
            throw dn::Error(dn::Status::invalid_argument, "",
                            dn::text("the buffer has ", count, " values, the network's input ", input.size()));
        dn::load_image(convert(need(image, "image")), letterbox != 0, input, &need(dst, "dst"));
    });
}

dn_status dn_network_profile(dn_network* network, dn_layer_time* times, int capacity, int* count) {
    return guarded([&] {
        need(count, "count");
        need(network, "network").times = network->net.profile();
        const int n = static_cast<int>(network->times.size());
        for (int i = 0; i < std::min(n, capacity); ++i) {
            const dn::LayerTime& time = network->times[i];
            (&need(times, "times"))[i] = {time.node, time.what.c_str(), time.seconds};
        }
        *count = n;
    });
}

dn_status dn_network_layer_errors(dn_network* network, double* errors, int capacity, int* count) {
    return guarded([&] {
        need(count, "count");
        const std::vector<double> found = need(network, "network").net.layer_errors();
        const int n = static_cast<int>(found.size());
        if (capacity > 0) std::copy_n(found.begin(), std::min(n, capacity), &need(errors, "errors"));
        *count = n;
    });
}

dn_status dn_network_save_weights(const dn_network* network, const char* path, int cutoff) {
    return guarded([&] {
        const dn::Network& net = need(network, "network").net;
        dn::write_weights(&need(path, "path"), net.graph(), *net.parameters(), cutoff);
    });
}

dn_status dn_network_get_array(const dn_network* network, int layer, const char* name, float* dst, size_t capacity,
                               size_t* count) {
    return guarded([&] {
        const dn::Node& node = need(network, "network").net.graph().node(layer);
        const dn::Role role = dn::parse_role(&need(name, "name"));
        const dn::LockedParameters parameters = network->net.parameters();
        const dn::Floats& array = parameters->of(network->net.graph(), layer).array(role);
        need(count, "count");
        if (dst && capacity < array.size())
            throw dn::Error(dn::Status::invalid_argument, node.where,
                            dn::text("its ", name, " are ", array.size(), " values, the buffer holds ", capacity));
        if (dst) std::copy(array.begin(), array.end(), dst);
        *count = array.size();
    });
}
