// SPDX-License-Identifier: Apache-2.0
// kernels/losses.cuh against the losses of the host, for heads with random options, outputs and truths.
#include "kernels.hpp"

#include "backends/cuda/kernels/losses.cuh"
#include "losses/anchor_loss.hpp"
#include "losses/region.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kRows = 7;  // truths of an image at most

class Random {
public:
    explicit Random(std::uint64_t seed) : seed_(seed) {}
    float real(float low, float high) { return low + (high - low) * uniform(seed_, next_++); }
    int below(int limit) { return static_cast<int>(real(0, static_cast<float>(limit))); }
    bool coin() { return below(2) == 1; }
    template <std::size_t count>
    const char* one_of(const char* const (&words)[count]) {
        return words[below(count)];
    }
    std::string maybe(const std::string& key, float low, float high) {
        return coin() ? text(key, "=", real(low, high), "\n") : "";
    }

private:
    std::uint64_t seed_, next_ = 0;
};

const char* const kKinds[] = {"iou", "giou", "diou", "ciou", "mse"};

std::string anchor_options(Random& random, bool gaussian, int classes) {
    std::string keys = text("classes=", classes, "\niou_loss=", random.one_of(kKinds));
    keys += text("\niou_thresh_kind=", kKinds[random.below(4)], "\nignore_thresh=", random.real(0, 1), "\n");
    keys += random.maybe("truth_thresh", 0.2f, 1) + random.maybe("iou_thresh", 0.05f, 0.5f);
    keys += random.maybe("iou_normalizer", 0.05f, 2) + random.maybe("cls_normalizer", 0.5f, 2);
    keys += random.maybe("obj_normalizer", 0.5f, 2) + random.maybe("max_delta", 0.05f, 1);
    keys += random.maybe("label_smooth_eps", 0.05f, 0.2f) + (random.coin() ? "objectness_smooth=1\n" : "");
    if (random.coin()) {
        keys += "counters_per_class=";
        for (int c = 0; c < classes; ++c) keys += text(c ? "," : "", 1 + random.below(50));
        keys += "\n";
    }
    if (gaussian) {
        const char* const points[] = {"center", "left_top", "right_bottom"};
        return keys + text("yolo_point=", random.one_of(points), "\n") + random.maybe("uc_normalizer", 0.1f, 2);
    }
    return keys + (random.below(3) == 0 ? "focal_loss=1\n" : "") + (random.below(3) == 0 ? "new_coords=1\n" : "");
}

std::string region_options(Random& random) {
    std::string keys = text("classfix=", random.below(4) - 1, "\nthresh=", random.real(0.05f, 0.6f), "\n");
    keys += random.maybe("coord_scale", 0.5f, 2) + random.maybe("object_scale", 0.5f, 5);
    keys += random.maybe("noobject_scale", 0.5f, 2) + random.maybe("class_scale", 0.5f, 2);
    for (const char* flag : {"bias_match", "rescore", "focal_loss"})
        if (random.coin()) keys += text(flag, "=1\n");
    return keys;
}

// A head of random options behind an input of as many channels. tree: a file with four classes.
Graph random_head(Random& random, const std::string& tree) {
    const int kind = random.below(3), classes = 1 + random.below(4), w = 1 + random.below(6), h = 1 + random.below(6);
    const auto net = [=](int channels) {
        return text("[net]\nwidth=", w, "\nheight=", h, "\nchannels=", channels, "\n");
    };
    if (kind == 2) {
        const bool has_tree = random.coin();
        const int found = has_tree ? 4 : classes;
        return graph_of(net(3 * (5 + found)) + text("[region]\nnum=3\nanchors=0.4,0.6, 1.2,1, 2,2.5\nclasses=", found) +
                        (has_tree ? "\ntree=" + tree : "") + "\n" + region_options(random));
    }
    const char* const masks[] = {"0,1", "1", "1,2", "2,0,1", "0,0,2"};
    const int anchors[] = {2, 1, 2, 3, 3}, mask = random.below(5);
    const bool gaussian = kind == 1;
    return graph_of(
        net(anchors[mask] * ((gaussian ? 9 : 5) + classes)) +
        text(gaussian ? "[Gaussian_yolo]" : "[yolo]", "\nmask=", masks[mask], "\nnum=3\nanchors=2,3, 7,5, 14,15\n") +
        anchor_options(random, gaussian, classes));
}

// Many truths of one cell and of one class, and rows that are left out.
Floats random_truths(Random& random, int images, int classes) {
    Floats truths(images * kRows * kTruthRow);
    for (int image = 0; image < images; ++image) {
        const int count = random.below(kRows + 1);
        const bool crowd = random.coin();
        for (int row = 0; row < count; ++row) {
            float* truth = truths.data() + (image * kRows + row) * kTruthRow;
            truth[0] = crowd ? 0.5f : random.real(0.01f, 0.99f);
            truth[1] = crowd ? 0.5f : random.real(0.01f, 0.99f);
            truth[2] = random.real(0.02f, 1);
            truth[3] = random.real(0.02f, 1);
            truth[4] = static_cast<float>(random.below(classes + (random.below(3) == 0 ? 1 : 0)));
        }
    }
    return truths;
}

// Channels last, and back to planes.
Floats channels_last(const Floats& planes, int images, Shape shape, bool back = false) {
    Floats moved(planes.size());
    const std::size_t pixels = static_cast<std::size_t>(shape.h) * shape.w;
    for (int image = 0; image < images; ++image)
        for (int c = 0; c < shape.c; ++c)
            for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
                const std::size_t plane = image * shape.size() + c * pixels + pixel;
                const std::size_t last = image * shape.size() + pixel * shape.c + c;
                back ? moved[plane] = planes[last] : moved[last] = planes[plane];
            }
    return moved;
}

int classes_of(const Node& node) {
    return node.kind == Kind::region ? node.as<RegionParams>().classes : node.as<YoloParams>().classes;
}

// A head, what it found and what it should have found.
struct Case {
    Case(std::uint64_t seed, const std::string& tree)
        : random(seed), graph(random_head(random, tree)), images(1 + random.below(2)) {
        truths = random_truths(random, images, classes_of(head()));
        output.resize(images * head().out.size());
        for (float& value : output) value = random.real(0.01f, 0.99f);
        delta.resize(output.size());
        report = loss(head(), {all_truths(), net_input(), seen}, output.data(), delta.data());
    }
    const Node& head() const { return graph.nodes[0]; }
    Shape net_input() const { return {3, 8 * head().out.h, 8 * head().out.w}; }
    Truths all_truths() const { return {truths.data(), images, kRows * kTruthRow}; }

    Random random;
    Graph graph;
    int images;
    std::uint64_t seen = random.coin() ? 0 : 1000000;  // [region]: warms up, or not
    Floats truths, output;
    Floats delta;  // of the host
    LossReport report;
};

// The head of a case in guarded memory.
class DeviceHead {
public:
    explicit DeviceHead(const Case& of)
        : of_(of),
          tables_(is_region() ? region_tables(of.head().as<RegionParams>())
                              : anchor_tables(of.head().as<YoloParams>(), of.net_input())),
          floats_(tables_.floats),
          ints_(tables_.ints),
          output_(channels_last(of.output, of.images, of.head().out)),
          delta_(Floats(of.output.size())),
          counts_(of.images),
          boxes_(of.images * kRows),
          sums_(of.images * kRows),
          squares_(kSquares),
          totals_(1) {
        for (int image = 0; image < of.images; ++image) {
            const auto found = truths_of(of.all_truths(), image, classes_of(of.head()));
            counts_.data()[image] = static_cast<int>(found.size());
            std::copy(found.begin(), found.end(), boxes_.data() + image * kRows);
        }
    }

    void run(LaunchOptions options) { is_region() ? run_region(options) : run_anchors(options); }

    Floats delta() const { return channels_last(delta_.read(), of_.images, of_.head().out, true); }
    LossReport report() const {
        const cuda::LossTotals found = totals_.read()[0];
        if (is_region()) return region_report(found.sums, found.squares.all);
        return anchor_report(of_.head().as<YoloParams>(), found.sums, found.squares.all, found.squares.boxes);
    }

private:
    static constexpr int kSquares = 2;  // blocks
    static constexpr cuda::Dim3 kTwo{2, 1, 1}, kOne{1, 1, 1};

    bool is_region() const { return of_.head().kind == Kind::region; }

    template <class Head>
    cuda::HeadLossArgs<Head> args_of(Head head) {
        head.output = output_.data();
        head.delta = delta_.data();
        head.image_step = static_cast<long long>(of_.head().out.size());
        return {head, of_.images, kRows, counts_.data(), boxes_.data(), sums_.data()};
    }

    void run_region(LaunchOptions options) {
        RegionHead head = region_head(of_.head(), floats_.data(), ints_.data());
        head.cells = head.width * head.height;
        head.warms_up = region_warms_up(of_.seen);
        launch_kernel(cuda::kernel::region_punish, Storage::f32, kTwo, args_of(head), options);
        launch_kernel(cuda::kernel::region_assign, Storage::f32, kOne, args_of(head), options);
        add_up(1, 0, options);
    }

    void run_anchors(LaunchOptions options) {
        AnchorHead head = anchor_head(of_.head(), floats_.data(), ints_.data());
        head.entry_step = 1;
        head.cell_step = of_.head().out.c;
        launch_kernel(cuda::kernel::anchor_punish, Storage::f32, kTwo, args_of(head), options);
        launch_kernel(cuda::kernel::anchor_assign, Storage::f32, kOne, args_of(head), options);
        if (averages_boxes(head))
            launch_kernel(cuda::kernel::anchor_average, Storage::f32, kTwo, args_of(head), options);
        add_up(head.entries, objectness_of(head), options);
    }

    void add_up(int entries, int boxes, LaunchOptions options) {
        const auto count = static_cast<long long>(of_.output.size());
        launch_kernel(cuda::kernel::sum_squares, Storage::f32, {kSquares, 1, 1},
                      cuda::SquaresArgs{delta_.data(), count, entries, boxes, squares_.data()}, options);
        launch_kernel(cuda::kernel::sum_loss, Storage::f32, kOne,
                      cuda::LossTotalsArgs{squares_.data(), kSquares, of_.images, kRows, counts_.data(), sums_.data(),
                                           totals_.data()},
                      options);
    }

    const Case& of_;
    LossTables tables_;
    DeviceArray<float> floats_;
    DeviceArray<int> ints_;
    DeviceArray<float> output_, delta_;
    DeviceArray<int> counts_;
    DeviceArray<TruthBox> boxes_;
    DeviceArray<AssignmentSums> sums_;
    DeviceArray<cuda::SquareSums> squares_;
    DeviceArray<cuda::LossTotals> totals_;
};

Floats numbers_of(const LossReport& report) {
    return {report.cost,
            report.total_loss,
            report.class_loss,
            report.iou_loss,
            report.iou_sum,
            static_cast<float>(report.count),
            static_cast<float>(report.rewritten)};
}

}  // namespace

TEST_CASE("kernels: losses of heads have the host's bits, and its report") {
    constexpr int kCases = 90;
    const TemporaryFolder folder;
    const std::string tree = folder.write("four.tree", "animal -1\nthing -1\ncat 0\ndog 0\n");
    int assigned = 0, rewritten = 0;
    for (int seed = 0; seed < kCases; ++seed) {
        const Case of(seed, tree);
        CAPTURE(seed);
        LossReport report;
        const Floats delta = under_every_schedule([&](LaunchOptions options) {
            DeviceHead head(of);
            head.run(options);
            report = head.report();
            return head.delta();
        });
        CHECK(same_bits(delta, of.delta));
        CHECK(report.count == of.report.count);
        CHECK(report.rewritten == of.report.rewritten);
        CHECK(largest_error(numbers_of(report), numbers_of(of.report)) < 3e-6f);
        assigned += report.count;
        rewritten += report.rewritten;
    }
    CHECK(assigned > 2 * kCases);
    CHECK(rewritten > kCases / 8);
}
