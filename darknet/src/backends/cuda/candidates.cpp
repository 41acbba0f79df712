// SPDX-License-Identifier: Apache-2.0
#include "candidates.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../../decode/decode.hpp"

namespace dn::cuda {
namespace {

long long blocks_for(long long boxes) { return (boxes + kThreads - 1) / kThreads; }

// An eighth of all boxes, which a trained network stays far below at any useful threshold.
long long most_records(long long boxes) {
    constexpr long long share = 8, least = 256;
    return std::min(boxes, std::max(least, boxes / share));
}

long long boxes_of(const Node& head, int batch) {
    return 1LL * batch * head.out.h * head.out.w * static_cast<long long>(head.as<YoloParams>().mask.size());
}

std::size_t record_bytes(const Node& head) { return (1 + head.as<YoloParams>().entries()) * sizeof(float); }

}  // namespace

bool BoxFinder::suits(const Graph& graph, const std::vector<int>& kept) {
    const std::vector<int> heads = graph.heads();
    return !heads.empty() && std::all_of(heads.begin(), heads.end(), [&](int index) {
        const Kind kind = graph.nodes[index].kind;
        return (kind == Kind::yolo || kind == Kind::gaussian_yolo) &&
               std::find(kept.begin(), kept.end(), index) != kept.end();
    });
}

std::size_t BoxFinder::bytes(const Graph& graph, int batch) {
    std::size_t total = 0;
    for (const int index : graph.heads()) {
        const Node& head = graph.nodes[index];
        const long long boxes = boxes_of(head, batch);
        total += most_records(boxes) * record_bytes(head) + (blocks_for(boxes) + 1) * sizeof(int);
    }
    return total;
}

BoxFinder::BoxFinder(Runtime& runtime, const Graph& graph, int batch, const TensorOf& tensor_of)
    : runtime_(runtime),
      input_(graph.input),
      batch_(batch),
      count_(runtime, kernel::count_boxes, DType::f32),
      collect_(runtime, kernel::collect_boxes, DType::f32),
      found_(runtime.device(), graph.heads().size() * sizeof(int)) {
    for (const int index : graph.heads()) {
        const Node& node = graph.nodes[index];
        const auto& params = node.as<YoloParams>();
        const long long boxes = boxes_of(node, batch);
        heads_.push_back({&node, tensor_of(index), static_cast<int>(params.mask.size()), params.entries(),
                          objectness_entry(params), DeviceBuffer(runtime.device(), blocks_for(boxes) * sizeof(int)),
                          DeviceBuffer(runtime.device(), most_records(boxes) * record_bytes(node))});
    }
}

void BoxFinder::launch(const Head& head, long long images, float thresh, int* found) const {
    const long long boxes = images * head.boxes_of_image();
    const BoxesArgs args{view_of(head.output),
                         boxes,
                         head.anchors,
                         head.entries,
                         head.objectness,
                         thresh,
                         head.counts.get<int>(),
                         head.records.get<float>(),
                         most_records(batch_ * head.boxes_of_image()),
                         found};
    const Grid grid{static_cast<unsigned>(blocks_for(boxes))};
    count_(grid, args);
    collect_(grid, args);
}

// Those of each head, `found` of them.
std::vector<std::vector<float>> BoxFinder::records(const std::vector<int>& found) const {
    std::vector<std::vector<float>> values(heads_.size());  // all there before the first is written to
    for (std::size_t h = 0; h < heads_.size(); ++h)
        values[h].resize(static_cast<std::size_t>(found[h]) * (1 + heads_[h].entries));
    for (std::size_t h = 0; h < heads_.size(); ++h)
        if (found[h])
            runtime_.stream.download(heads_[h].records.get(), values[h].data(), values[h].size() * sizeof(float));
    runtime_.stream.synchronize();
    return values;
}

void BoxFinder::decode(const Head& head, const std::vector<float>& values, const std::vector<DecodeOptions>& options,
                       std::vector<std::vector<Candidate>>& result) const {
    const std::size_t width = 1 + static_cast<std::size_t>(head.entries);
    for (std::size_t at = 0; at < values.size(); at += width) {
        std::uint32_t number = 0;
        std::memcpy(&number, &values[at], sizeof number);
        const long long image = number / head.boxes_of_image();
        decode_yolo_box(*head.node, static_cast<int>(number % head.boxes_of_image()), &values[at + 1], input_,
                        options[image], result[image]);
    }
}

std::optional<std::vector<std::vector<Candidate>>> BoxFinder::find(const std::vector<DecodeOptions>& options) const {
    std::vector<std::vector<Candidate>> result(options.size());
    if (options.empty()) return result;
    const auto lowest = std::min_element(options.begin(), options.end(),
                                         [](const auto& a, const auto& b) { return a.thresh < b.thresh; });
    for (std::size_t h = 0; h < heads_.size(); ++h)
        launch(heads_[h], static_cast<long long>(options.size()), lowest->thresh, found_.get<int>() + h);
    std::vector<int> found(heads_.size());
    runtime_.stream.download(found_.get(), found.data(), found.size() * sizeof(int));
    runtime_.stream.synchronize();
    for (std::size_t h = 0; h < heads_.size(); ++h)
        if (found[h] > most_records(batch_ * heads_[h].boxes_of_image())) return std::nullopt;
    const std::vector<std::vector<float>> values = records(found);
    for (std::size_t h = 0; h < heads_.size(); ++h) decode(heads_[h], values[h], options, result);
    return result;
}

}  // namespace dn::cuda
