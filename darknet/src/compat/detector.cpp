// SPDX-License-Identifier: Apache-2.0
// darknet_compat.h: the process's one detector, as C# and ctypes programs use it.
#include <algorithm>
#include <cmath>

#include "compat/handle.hpp"

static_assert(sizeof(bbox_t) == 44 && sizeof(bbox_t_container) == 44000 && sizeof(image_t) == 24);

namespace {

using namespace dn::compat;

constexpr float thresh = 0.2f, nms = 0.4f;

struct Unload {
    void operator()(network* net) const {
        free_network_ptr(net);
        std::free(net);
    }
};

// The interface has no handle, so this is the one place where a variable of the process cannot be avoided.
class TheDetector {
public:
    void set(std::shared_ptr<network> net) {
        const std::lock_guard<std::mutex> lock(mutex_);
        net_ = std::move(net);
    }
    std::shared_ptr<network> get() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!net_) throw dn::Error(dn::Status::invalid_argument, "", "init() was not called, or failed");
        return net_;
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<network> net_;
};

TheDetector& the_detector() {
    static TheDetector detector;
    return detector;
}

unsigned int pixel(float value) { return static_cast<unsigned int>(std::clamp(value, 0.0f, 1e9f)); }

bbox_t to_bbox(const detection& record, const image& im) {
    const box& b = record.bbox;
    const float* best = std::max_element(record.prob, record.prob + record.classes);
    bbox_t out{};
    out.x = pixel((b.x - b.w / 2) * static_cast<float>(im.w));
    out.y = pixel((b.y - b.h / 2) * static_cast<float>(im.h));
    out.w = pixel(b.w * static_cast<float>(im.w));
    out.h = pixel(b.h * static_cast<float>(im.h));
    out.prob = *best;
    out.obj_id = static_cast<unsigned int>(best - record.prob);
    return out;
}

int detect(const image& im, bbox_t_container& out) {
    const std::shared_ptr<network> net = the_detector().get();
    int count = 0, found = 0;
    if (!network_predict_image(net.get(), im)) return -1;
    detection* dets = get_network_boxes(net.get(), im.w, im.h, thresh, 0.5f, nullptr, 1, &count, 0);
    if (!dets) return -1;
    if (count > 0) do_nms_sort(dets, count, dets[0].classes, nms);
    for (int i = 0; i < count; ++i) {
        const bbox_t box = to_bbox(dets[i], im);
        if (!(box.prob > thresh)) continue;
        if (found < C_SHARP_MAX_OBJECTS) out.candidates[found] = box;
        ++found;
    }
    free_detections(dets, count);
    return found;
}

template <class Decode>
int detect_decoded(bbox_t_container* out, Decode&& decode) {
    return or_else(-1, [&] {
        dn::need(out, "out");
        const image im = decode();
        const Block<float> owner(im.data);
        return detect(im, *out);
    });
}

}  // namespace

int init(const char* cfg, const char* weights, int, int batch_size) {
    // Callers compiled before the fourth parameter existed pass whatever is in its register.
    const int batch = batch_size >= 1 && batch_size <= 1024 ? batch_size : 1;
    return or_else(0, [&] {
        network* net = load_network_custom(const_cast<char*>(cfg), const_cast<char*>(weights), 1, batch);
        if (!net) return 0;
        the_detector().set(std::shared_ptr<network>(net, Unload{}));
        return 1;
    });
}

int detect_image(const char* path, bbox_t_container* out) {
    return detect_decoded(out, [&] { return decode_file(&dn::need(path, "path")); });
}

int detect_mat(const uint8_t* encoded, size_t length, bbox_t_container* out) {
    return detect_decoded(out, [&] { return decode_bytes(encoded, length); });
}

int dispose(void) {
    the_detector().set(nullptr);
    return 1;
}

int get_device_count(void) {
    const int count = or_else(0, [] { return device_count(); });
    return count ? count : -1;
}

int get_device_name(int, char* name) {
    if (name) *name = '\0';
    return -1;
}

bool built_with_cuda(void) { return get_device_count() > 0; }
bool built_with_cudnn(void) { return built_with_cuda(); }
bool built_with_opencv(void) { return can_decode(); }
