// SPDX-License-Identifier: Apache-2.0
// Losses of heads on the device, in trainings.
#include "train_nets.hpp"

#include "backends/check.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// A head of each kind. between: what stands in front of the layers of the second and of later heads.
std::string heads(const std::string& between) {
    return "[net]\nbatch=2\nwidth=12\nheight=12\nchannels=3\n"
           "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
           "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
           "[yolo]\nmask=0,1\nnum=3\nanchors=4,4, 6,8, 9,7\nclasses=2\niou_loss=ciou\niou_thresh=0.2\nmax_delta=5\n"
           "iou_normalizer=0.07\ncounters_per_class=10,3\n" +
           between +
           "[convolutional]\nfilters=14\nsize=1\nactivation=logistic\n"
           "[yolo]\nmask=1,2\nnum=3\nanchors=4,4, 6,8, 9,7\nclasses=2\niou_loss=giou\nnew_coords=1\n"
           "objectness_smooth=1\nlabel_smooth_eps=0.1\ntruth_thresh=0.6\n" +
           between +
           "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
           "[region]\nnum=1\nanchors=2,3\nclasses=2\nrescore=1\nobject_scale=5\n" +
           between +
           "[convolutional]\nfilters=11\nsize=1\nactivation=linear\n"
           "[Gaussian_yolo]\nmask=2\nnum=3\nanchors=4,4, 6,8, 9,7\nclasses=2\niou_loss=giou\nuc_normalizer=0.5\n";
}

const std::string kChain = heads("[empty]\n");  // all but the last have their delta from others, too
const std::string kApart = heads("[route]\nlayers=-3\n");

NetworkOptions on_ref() {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    return options;
}

// Boxes in both images, `rows` an image; the last ones are empty.
Floats boxes(int rows) {
    Floats truths(kImages * rows * kTruthRow);
    for (int image = 0; image < kImages; ++image)
        for (int row = 0; row + 1 < rows; ++row) {
            float* truth = truths.data() + (image * rows + row) * kTruthRow;
            for (int k = 0; k < 4; ++k) truth[k] = 0.2f + 0.6f * uniform(image, 8 * row + k);
            truth[4] = static_cast<float>(row % 2);
        }
    return truths;
}

// The numbers of all heads, mini-batch by mini-batch.
Floats reports_of(const std::string& cfg, const std::shared_ptr<const Backend>& backend, const std::vector<int>& rows) {
    const Network network(parse_cfg(cfg, "net.cfg"), "", on_ref());
    Trainer trainer(network, backend, Precision::f32);
    const Floats images = images_of(network.graph());
    Floats numbers;
    for (const int count : rows) {
        const Floats truths = boxes(count);
        trainer.accumulate(images.data(), kImages, truths.data(), truths.size() / kImages);
        for (const Node& node : network.graph().nodes) {
            if (!node.is_head()) continue;
            const LossReport& report = trainer.reports()[node.index];
            numbers.insert(numbers.end(),
                           {report.cost, report.total_loss, report.class_loss, report.iou_loss, report.iou_sum,
                            static_cast<float>(report.count), static_cast<float>(report.rewritten)});
        }
        trainer.update();
    }
    return numbers;
}

}  // namespace

TEST_CASE("cuda losses: heads report what those of ref do, however many truths there are") {
    const FakeGpu gpu;
    const std::vector<int> rows = {3, 3, 2, 9, 9, 0, 4};
    const Floats expected = reports_of(kChain, make_backend("ref"), rows);
    CHECK(*std::max_element(expected.begin(), expected.end()) > 1);
    CHECK(largest_error(reports_of(kChain, FakeGpu::backend(), rows), expected) < 2e-3f);
}

TEST_CASE("cuda losses: deltas, gradients and updates agree with those of ref") {
    const FakeGpu gpu;
    const Floats numbers = reports_of(kApart, make_check_backend(FakeGpu::backend(), make_backend("ref")), {5, 5});
    CHECK(std::all_of(numbers.begin(), numbers.end(), [](float value) { return std::isfinite(value); }));
}

TEST_CASE("cuda losses: outputs of heads do not cross the bus") {
    const FakeGpu gpu;
    const std::shared_ptr<const Backend> backend = FakeGpu::backend();
    const Network network(parse_cfg(kApart, "net.cfg"), "", on_ref());
    Trainer trainer(network, backend, Precision::f32);
    const Floats images = images_of(network.graph()), truths = boxes(4);
    const auto accumulate = [&] { trainer.accumulate(images.data(), kImages, truths.data(), truths.size() / kImages); };
    accumulate();
    const long long up = gpu.count("uploaded"), down = gpu.count("downloaded");
    accumulate();
    const auto input = static_cast<long long>(images.size() * sizeof(float));
    CHECK(gpu.count("uploaded") - up < input + 1000);
    CHECK(gpu.count("downloaded") - down < 200);
}
