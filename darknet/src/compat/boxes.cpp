// SPDX-License-Identifier: Apache-2.0
// darknet_compat.h: candidates as the client's records, and suppression among them.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "compat/handle.hpp"

static_assert(sizeof(box) == 16 && sizeof(image) == 24 && sizeof(metadata) == 16 && sizeof(det_num_pair) == 16);
static_assert(offsetof(image, data) == 16 && offsetof(metadata, names) == 8 && offsetof(det_num_pair, dets) == 8);
static_assert(sizeof(detection) == 88 && offsetof(detection, classes) == 16 && offsetof(detection, prob) == 24 &&
              offsetof(detection, mask) == 32 && offsetof(detection, objectness) == 40 &&
              offsetof(detection, uc) == 48 && offsetof(detection, points) == 56 &&
              offsetof(detection, embeddings) == 64 && offsetof(detection, sim) == 76 &&
              offsetof(detection, track_id) == 80);

namespace {

using namespace dn::compat;
using dn::Candidate;

// Frees its records unless they are released to the client.
class Records {
public:
    explicit Records(std::size_t count) : count_(count), records_(allocate<detection>(count)) {}
    ~Records() { free_detections(records_, static_cast<int>(count_)); }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    detection& operator[](std::size_t i) { return records_[i]; }
    detection* release(int* num) {
        if (num) *num = static_cast<int>(count_);
        count_ = 0;
        return std::exchange(records_, nullptr);
    }

private:
    std::size_t count_;
    detection* records_;
};

void fill(detection& record, const Candidate& candidate, bool gaussian) {
    const std::vector<float>& prob = candidate.prob;
    record.bbox = {candidate.box.x, candidate.box.y, candidate.box.w, candidate.box.h};
    record.classes = static_cast<int>(prob.size());
    record.objectness = candidate.objectness;
    record.prob = allocate<float>(prob.size());
    std::copy(prob.begin(), prob.end(), record.prob);
    const auto best = std::max_element(prob.begin(), prob.end());
    record.best_class_idx = best != prob.end() && *best > 0 ? static_cast<int>(best - prob.begin()) : -1;
    if (gaussian) {
        record.uc = allocate<float>(4);
        std::copy_n(candidate.uncertainty, 4, record.uc);
    }
}

bool is_gaussian(const dn::Graph& graph) {
    for (const int head : graph.heads())
        if (graph.nodes[head].kind != dn::Kind::gaussian_yolo) return false;
    return true;
}

detection* to_records(const std::vector<Candidate>& candidates, bool gaussian, int* num) {
    Records records(candidates.size());
    for (std::size_t i = 0; i < candidates.size(); ++i) fill(records[i], candidates[i], gaussian);
    return records.release(num);
}

dn::DecodeOptions decode_options(int w, int h, float thresh, int relative, int letter) {
    if (letter && (w < 1 || h < 1))
        throw dn::Error(dn::Status::invalid_argument, "",
                        dn::text("found an image size of ", w, " x ", h, "; letterboxing needs the true one"));
    return {thresh, relative != 0, letter != 0, w, h};
}

// Runs an NMS of the engine over the client's records, whose order and probabilities change as it says.
template <class Nms>
void suppress(detection* dets, int total, int classes, Nms&& nms) {
    dn::guarded([&] {
        if (total < 1) return;
        dn::need(dets, "dets");
        std::vector<Candidate> candidates;
        int most = 0;
        for (int i = 0; i < total; ++i) {
            const detection& record = dets[i];
            // A longer list of names than the network has classes must not be read past the end.
            const int n = record.prob ? std::clamp(classes, 0, record.classes) : 0;
            most = std::max(most, n);
            Candidate candidate{{record.bbox.x, record.bbox.y, record.bbox.w, record.bbox.h},
                                record.objectness,
                                std::vector<float>(record.prob, record.prob + n),
                                {},
                                i};  // NMS carries best_class along untouched: here, which record this is
            candidates.push_back(std::move(candidate));
        }
        for (Candidate& candidate : candidates) candidate.prob.resize(most);
        nms(candidates, most);
        const std::vector<detection> before(dets, dets + total);
        for (int i = 0; i < total; ++i) {
            const Candidate& candidate = candidates[i];
            dets[i] = before[candidate.best_class];
            dets[i].objectness = candidate.objectness;
            const int n = dets[i].prob ? std::min(most, dets[i].classes) : 0;
            std::copy_n(candidate.prob.begin(), n, dets[i].prob);
        }
    });
}

void sort_nms(detection* dets, int total, int classes, float thresh, dn::NmsKind kind, float beta) {
    suppress(dets, total, classes,
             [&](std::vector<Candidate>& candidates, int n) { dn::nms_sort(candidates, n, thresh, kind, beta); });
}

}  // namespace

detection* get_network_boxes(network* net, int w, int h, float thresh, float, int*, int relative, int* num,
                             int letter) {
    if (num) *num = 0;
    return or_else<detection*>(nullptr, [&] {
        const auto forward = state_of(net)->last();
        const auto found = forward->decode(0, decode_options(w, h, thresh, relative, letter));
        return to_records(found, is_gaussian(*forward->graph), num);
    });
}

detection* make_network_boxes(network* net, float thresh, int* num) {
    if (num) *num = 0;
    return or_else<detection*>(nullptr, [&] {
        const auto forward = state_of(net)->last();
        std::vector<Candidate> found = forward->decode(0, decode_options(1, 1, thresh, 1, 0));
        for (Candidate& candidate : found) candidate = {{}, 0, std::vector<float>(candidate.prob.size()), {}, 0};
        return to_records(found, is_gaussian(*forward->graph), num);
    });
}

det_num_pair* network_predict_batch(network* net, image im, int batch_size, int w, int h, float thresh, float, int*,
                                    int relative, int letter) {
    return or_else<det_num_pair*>(nullptr, [&] {
        if (batch_size < 1)
            throw dn::Error(dn::Status::invalid_argument, "",
                            dn::text("found batch_size ", batch_size, ", expected 1 or more"));
        const auto forward = state_of(net)->predict(&dn::need(im.data, "im.data"), batch_size);
        const dn::DecodeOptions options = decode_options(w, h, thresh, relative, letter);
        const auto release = [&](det_num_pair* pairs) { free_batch_detections(pairs, batch_size); };
        std::unique_ptr<det_num_pair, decltype(release)> pairs(allocate<det_num_pair>(batch_size), release);
        for (int i = 0; i < batch_size; ++i) {
            det_num_pair& pair = pairs.get()[i];
            pair.dets = to_records(forward->decode(i, options), is_gaussian(*forward->graph), &pair.num);
        }
        return pairs.release();
    });
}

void free_detections(detection* dets, int n) {
    if (!dets) return;
    for (int i = 0; i < n; ++i)
        for (float* values : {dets[i].prob, dets[i].mask, dets[i].uc, dets[i].embeddings}) std::free(values);
    std::free(dets);
}

void free_batch_detections(det_num_pair* pairs, int n) {
    if (!pairs) return;
    for (int i = 0; i < n; ++i) free_detections(pairs[i].dets, pairs[i].num);
    std::free(pairs);
}

void do_nms_sort(detection* dets, int total, int classes, float thresh) {
    sort_nms(dets, total, classes, thresh, dn::NmsKind::standard, 0);
}

void diounms_sort(detection* dets, int total, int classes, float thresh, NMS_KIND kind, float beta1) {
    static_assert(
        DEFAULT_NMS == static_cast<int>(dn::NmsKind::standard) && GREEDY_NMS == static_cast<int>(dn::NmsKind::greedy) &&
        DIOU_NMS == static_cast<int>(dn::NmsKind::diou) && CORNERS_NMS == static_cast<int>(dn::NmsKind::corners));
    sort_nms(dets, total, classes, thresh, static_cast<dn::NmsKind>(kind), beta1);
}

void do_nms_obj(detection* dets, int total, int classes, float thresh) {
    suppress(dets, total, classes,
             [&](std::vector<Candidate>& candidates, int n) { dn::nms_objectness(candidates, n, thresh); });
}
