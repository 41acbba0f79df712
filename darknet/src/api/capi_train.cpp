// SPDX-License-Identifier: Apache-2.0
// darknet.h over the engine: losses and training.
#include <algorithm>

#include "../trainer.hpp"
#include "capi.hpp"

struct dn_trainer {
    explicit dn_trainer(const dn::Network& network) : trainer(network) {}
    dn::Trainer trainer;
    std::string message;  // of the functions that return text
};

namespace {

using dn::guarded;
using dn::need;

dn::StateKind parse_kind(dn_state_kind kind) {
    switch (kind) {
        case DN_PARAMETERS:
            return dn::StateKind::parameters;
        case DN_GRADIENTS:
            return dn::StateKind::gradients;
        case DN_ADAM_M:
            return dn::StateKind::adam_m;
        case DN_ADAM_V:
            return dn::StateKind::adam_v;
        case DN_EMA:
            return dn::StateKind::ema;
    }
    throw dn::Error(dn::Status::invalid_argument, "",
                    dn::text("found state kind ", static_cast<int>(kind), ", expected 0 to ", DN_EMA));
}

// Copies the reports of the layers that own a cost as far as there is room; returns how many there are.
int write_reports(const dn::Graph& graph, const std::vector<dn::LossReport>& by_node, dn_loss_report* reports,
                  int capacity) {
    int found = 0;
    for (const dn::Node& node : graph.nodes) {
        if (!dn::owns_cost(node)) continue;
        const dn::LossReport& r = by_node[node.index];
        if (found < capacity)
            (&need(reports, "reports"))[found] = {node.index, r.cost,    r.total_loss, r.class_loss,
                                                  r.iou_loss, r.iou_sum, r.count,      r.rewritten};
        ++found;
    }
    return found;
}

std::vector<dn::Tile> tiles_of(const dn_tile* tiles, int count) {
    std::vector<dn::Tile> copies;
    for (int i = 0; i < count; ++i) {
        const dn_tile& t = tiles[i];
        copies.push_back({t.pixels,
                          t.stride,
                          t.tables,
                          t.image,
                          t.x,
                          t.y,
                          t.width,
                          t.height,
                          t.from_x,
                          t.from_y,
                          t.crop_width,
                          t.crop_height,
                          t.part_x,
                          t.part_y,
                          t.part_width,
                          t.part_height,
                          t.flip,
                          {t.fill[0], t.fill[1], t.fill[2], t.fill[3]}});
    }
    return copies;
}

}  // namespace

dn_status dn_network_losses(const dn_network* network, const float* truths, int n, size_t truth_stride,
                            dn_loss_report* reports, int capacity, int* count) {
    return guarded([&] {
        const dn::Network& net = need(network, "network").net;
        const std::vector<dn::LossReport> found = net.losses({&need(truths, "truths"), n, truth_stride});
        need(count, "count") = write_reports(net.graph(), found, reports, capacity);
    });
}

dn_status dn_trainer_create(dn_network* network, dn_trainer** out) {
    return guarded([&] {
        need(out, "out");
        *out = std::make_unique<dn_trainer>(need(network, "network").net).release();
    });
}

void dn_trainer_free(dn_trainer* trainer) { std::unique_ptr<dn_trainer>{trainer}; }

dn_status dn_trainer_accumulate(dn_trainer* trainer, const float* images, int n, const float* truths,
                                size_t truth_stride, float* cost) {
    return guarded([&] {
        need(cost, "cost");
        *cost = need(trainer, "trainer")
                    .trainer.accumulate(&need(images, "images"), n, &need(truths, "truths"), truth_stride);
    });
}

dn_status dn_trainer_announce(dn_trainer* trainer, const float* images, int n) {
    return guarded([&] { need(trainer, "trainer").trainer.announce(&need(images, "images"), n); });
}

dn_status dn_trainer_accumulate_tiles(dn_trainer* trainer, const dn_tile* tiles, int count, int n, const float* truths,
                                      size_t truth_stride, float* cost) {
    return guarded([&] {
        need(cost, "cost");
        const std::vector<dn::Tile> given =
            count > 0 ? tiles_of(&need(tiles, "tiles"), count) : std::vector<dn::Tile>{};
        *cost = need(trainer, "trainer")
                    .trainer.accumulate(given.data(), static_cast<int>(given.size()), n, &need(truths, "truths"),
                                        truth_stride);
    });
}

dn_status dn_trainer_update(dn_trainer* trainer) {
    return guarded([&] { need(trainer, "trainer").trainer.update(); });
}

dn_status dn_trainer_set_worker(dn_trainer* trainer, int number, int count) {
    return guarded([&] { need(trainer, "trainer").trainer.set_worker(number, count); });
}

dn_status dn_trainer_get_shares(const dn_trainer* trainer, float* dst, size_t capacity, size_t* count) {
    return guarded([&] {
        const dn::Floats& shares = need(trainer, "trainer").trainer.shares();
        need(count, "count") = shares.size();
        if (!dst) return;
        if (capacity < shares.size())
            throw dn::Error(dn::Status::invalid_argument, "",
                            dn::text("there are ", shares.size(), " shares, the buffer holds ", capacity));
        std::copy(shares.begin(), shares.end(), dst);
    });
}

dn_status dn_trainer_move_rolling(dn_trainer* trainer, const float* all, size_t count) {
    return guarded([&] {
        static const float none = 0;  // a network without batch norm
        need(trainer, "trainer").trainer.move_rolling(count ? &need(all, "all") : &none, count);
    });
}

const char* dn_trainer_why_no_group(dn_trainer* trainer) {
    if (!trainer) return "";
    trainer->message = trainer->trainer.why_no_group();
    return trainer->message.c_str();
}

dn_status dn_trainer_group_id(const dn_trainer* trainer, dn_group_id* id) {
    return guarded([&] {
        const dn::WorkerGroupId made = need(trainer, "trainer").trainer.group_id();
        std::copy(made.begin(), made.end(), need(id, "id").bytes);
    });
}

dn_status dn_trainer_join_group(dn_trainer* trainer, const dn_group_id* id, double seconds) {
    return guarded([&] {
        dn::WorkerGroupId given;
        std::copy_n(need(id, "id").bytes, given.size(), given.begin());
        need(trainer, "trainer").trainer.join_group(given, seconds);
    });
}

dn_status dn_trainer_sum_gradients(dn_trainer* trainer, double seconds) {
    return guarded([&] { need(trainer, "trainer").trainer.sum_gradients(seconds); });
}

dn_status dn_trainer_resize(dn_trainer* trainer, int width, int height) {
    return guarded([&] { need(trainer, "trainer").trainer.resize(width, height); });
}

dn_status dn_trainer_get_info(const dn_trainer* trainer, dn_trainer_info* out) {
    return guarded([&] {
        const dn::Trainer& t = need(trainer, "trainer").trainer;
        const dn::Shape input = t.graph().input;
        const dn::LossScale* scale = t.loss_scale();
        need(out, "out") = {t.iteration(),
                            t.seen(),
                            t.pending(),
                            t.rate(),
                            input.w,
                            input.h,
                            t.activation_bytes(),
                            scale ? scale->factor() : 0,
                            scale ? scale->good() : 0,
                            t.has_skipped(),
                            t.skipped()};
    });
}

dn_status dn_trainer_set_counters(dn_trainer* trainer, int64_t iteration, uint64_t seen, int64_t skipped_updates) {
    return guarded([&] { need(trainer, "trainer").trainer.set_counters(iteration, seen, skipped_updates); });
}

dn_status dn_trainer_set_loss_scale(dn_trainer* trainer, float loss_scale, int loss_scale_updates) {
    return guarded([&] { need(trainer, "trainer").trainer.set_loss_scale(loss_scale, loss_scale_updates); });
}

dn_status dn_trainer_set_learning_rate(dn_trainer* trainer, float rate) {
    return guarded([&] { need(trainer, "trainer").trainer.set_learning_rate(rate); });
}

dn_status dn_trainer_reports(const dn_trainer* trainer, dn_loss_report* reports, int capacity, int* count) {
    return guarded([&] {
        const dn::Trainer& t = need(trainer, "trainer").trainer;
        need(count, "count") = write_reports(t.graph(), t.reports(), reports, capacity);
    });
}

dn_status dn_trainer_read(const dn_trainer* trainer, int layer, float* dst, size_t count) {
    return guarded([&] { need(trainer, "trainer").trainer.read(layer, &need(dst, "dst"), count); });
}

dn_status dn_trainer_read_delta(const dn_trainer* trainer, int layer, float* dst, size_t count) {
    return guarded([&] { need(trainer, "trainer").trainer.read_delta(layer, &need(dst, "dst"), count); });
}

dn_status dn_trainer_count(const dn_trainer* trainer, dn_state_kind kind, int layer, const char* role, size_t* count) {
    return guarded([&] {
        const dn::Trainer& t = need(trainer, "trainer").trainer;
        need(count, "count") = t.count(parse_kind(kind), layer, dn::parse_role(&need(role, "role")));
    });
}

dn_status dn_trainer_get(const dn_trainer* trainer, dn_state_kind kind, int layer, const char* role, float* dst,
                         size_t count) {
    return guarded([&] {
        const dn::Trainer& t = need(trainer, "trainer").trainer;
        t.get(parse_kind(kind), layer, dn::parse_role(&need(role, "role")), &need(dst, "dst"), count);
    });
}

dn_status dn_trainer_set(dn_trainer* trainer, dn_state_kind kind, int layer, const char* role, const float* src,
                         size_t count) {
    return guarded([&] {
        dn::Trainer& t = need(trainer, "trainer").trainer;
        t.set(parse_kind(kind), layer, dn::parse_role(&need(role, "role")), &need(src, "src"), count);
    });
}

dn_status dn_trainer_non_finite(dn_trainer* trainer, const char** out) {
    return guarded([&] {
        dn_trainer& from = need(trainer, "trainer");
        from.message = from.trainer.first_non_finite();
        need(out, "out") = from.message.c_str();
    });
}
