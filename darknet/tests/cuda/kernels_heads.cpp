// SPDX-License-Identifier: Apache-2.0
// kernels/heads.cuh and the softmax of kernels/channels.cuh against ref. Outputs and their deltas are float32.
#include "kernels.hpp"

#include "backends/cuda/kernels/channels.cuh"
#include "backends/cuda/kernels/heads.cuh"
#include "backends/cuda/kernels/move.cuh"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kBatch = 2;

Floats forward_on_device(const ReferenceLayer& layer, Storage storage,
                         const std::function<void(DeviceTensor&, DeviceTensor&, LaunchOptions)>& step) {
    return under_every_schedule([&](LaunchOptions options) {
        DeviceTensor src(storage, kBatch, layer.shape(0), layer.src[0], 3);
        DeviceTensor dst(Storage::f32, kBatch, layer.node().out, 1);
        step(src, dst, options);
        return dst.read();
    });
}

void yolo(const std::string& sections, Shape input) {
    CAPTURE(sections);
    for (const Storage storage : kStorages) {
        ReferenceLayer layer(sections, input, kBatch);
        layer.fill(storage);
        const Floats earlier = layer.dsrc[0];
        layer.forward();
        layer.backward();
        const auto& params = layer.node().as<YoloParams>();
        const int step = params.gaussian ? 2 : 1;
        const Floats found =
            forward_on_device(layer, storage, [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                launch_kernel(cuda::kernel::yolo, storage, {2, 1, 1},
                              {src.view(), dst.view(), src.pixels(), input.c, params.entries(), 0, step, 2 * step,
                               3 * step, params.scale_x_y, params.new_coords},
                              options);
            });
        CHECK(largest_error(found, layer.dst) < 4e-7f);
        DeviceTensor ddst(Storage::f32, kBatch, input, layer.ddst), dsrc(storage, kBatch, input, earlier);
        launch_kernel(cuda::kernel::copy_from_f32, storage, {2, 1, 1},
                      {ddst.view(), dsrc.view(), nullptr, ddst.pixels(), input.c, params.delta_normalizer, true}, {});
        CHECK(largest_error(dsrc.read(), layer.dsrc[0]) < 2 * rounding(storage));
    }
}

void region(const std::string& sections, Shape input, const std::vector<int>& offset, const std::vector<int>& size) {
    CAPTURE(sections);
    for (const Storage storage : kStorages) {
        ReferenceLayer layer(sections, input, kBatch);
        layer.fill(storage);
        const Floats earlier = layer.dsrc[0];
        layer.forward();
        layer.backward();
        const auto& params = layer.node().as<RegionParams>();
        DeviceArray<int> offsets(offset), sizes(size);
        const auto args = [&](DeviceTensor& src, DeviceTensor& dst) {
            return cuda::RegionArgs{src.view(),     dst.view(),
                                    kBatch,         input.h * input.w,
                                    params.num,     params.coords,
                                    params.classes, offset.empty() ? nullptr : offsets.data(),
                                    sizes.data(),   static_cast<int>(offset.size()),
                                    params.softmax, true};
        };
        const Floats found =
            forward_on_device(layer, storage, [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                launch_kernel(cuda::kernel::region, storage, {1, 1, 1}, args(src, dst), options);
            });
        CHECK(largest_error(found, layer.dst) < 4e-7f);
        DeviceTensor ddst(Storage::f32, kBatch, layer.node().out, layer.ddst), dsrc(storage, kBatch, input, earlier);
        launch_kernel(cuda::kernel::region_backward, storage, {2, 1, 1}, args(dsrc, ddst), {});
        CHECK(largest_error(dsrc.read(), layer.dsrc[0]) < 2 * rounding(storage));
    }
}

}  // namespace

TEST_CASE("kernels heads: yolo and Gaussian yolo, their deltas normalised") {
    yolo("[yolo]\nclasses=3\nnum=4\nmask=1,2\nanchors=1,2,3,4,5,6,7,8\nscale_x_y=1.2\n", {16, 3, 5});
    yolo("[yolo]\nclasses=3\nnum=2\nmask=0,1\nanchors=1,2,3,4\nscale_x_y=2\nnew_coords=1\ndelta_normalizer=0.5\n",
         {16, 3, 5});
    yolo("[Gaussian_yolo]\nclasses=2\nnum=2\nmask=0,1\nanchors=1,2,3,4\nscale_x_y=1.1\n", {22, 3, 5});
}

TEST_CASE("kernels heads: region with a softmax, without one, and over the groups of a tree") {
    region("[region]\nclasses=4\ncoords=4\nnum=3\nanchors=1,2,3,4,5,6\nsoftmax=1\n", {27, 3, 5}, {}, {});
    region("[region]\nclasses=4\ncoords=4\nnum=3\nanchors=1,2,3,4,5,6\n", {27, 3, 5}, {}, {});
    const TemporaryFolder folder;
    const std::string tree = folder.write("tree", "animal -1\nthing -1\ncat 0\ndog 0\n");
    region("[region]\nclasses=4\ncoords=4\nnum=3\nanchors=1,2,3,4,5,6\ntree=" + tree + "\n", {27, 3, 5}, {0, 2},
           {2, 2});
}

TEST_CASE("kernels heads: softmax over parts, with a temperature, far from zero, and over the groups of a tree") {
    const auto compare = [](const std::string& sections, const std::vector<int>& offset, const std::vector<int>& size,
                            float range) {
        for (const Storage storage : kStorages) {
            ReferenceLayer layer(sections, {12, 1, 1}, kBatch);
            layer.fill(storage, range);
            layer.forward();
            const auto& params = layer.node().as<SoftmaxParams>();
            DeviceArray<int> offsets(offset), sizes(size);
            const bool tree = !offset.empty();
            const int groups = tree ? static_cast<int>(offset.size()) : params.groups;
            const Floats found =
                forward_on_device(layer, storage, [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                    launch_kernel(
                        cuda::kernel::softmax, storage, {1, 1, 1},
                        {src.view(), dst.view(), tree ? offsets.data() : nullptr, tree ? sizes.data() : nullptr, kBatch,
                         groups, 12 / params.groups, params.temperature},
                        options);
                });
            CHECK(largest_error(found, layer.dst) < 4e-7f);
        }
    };
    compare("[softmax]\ngroups=3\n", {}, {}, 2);
    compare("[softmax]\ntemperature=2\n", {}, {}, 300);
    const TemporaryFolder folder;
    std::string lines;
    for (int k = 0; k < 5; ++k) lines += text("root", k, " -1\n");
    for (int k = 0; k < 7; ++k) lines += text("leaf", k, " 1\n");
    compare("[softmax]\ntree=" + folder.write("tree", lines) + "\n", {0, 5}, {5, 7}, 5);
}

TEST_CASE("kernels heads: boxes above a threshold are collected in their order, as far as there is room") {
    constexpr int anchors = 2, entries = 7, objectness = 4, width = 1 + entries;
    const Shape shape{anchors * entries, 17, 19};
    const Floats planes = random_values(kBatch * shape.size(), 9, 1);
    const int cells = shape.h * shape.w, boxes = kBatch * cells * anchors;
    const auto value = [&](int box, int entry) {
        const int cell = box / anchors, image = cell / cells;
        return planes[image * shape.size() + (box % anchors * entries + entry) * cells + cell % cells];
    };
    for (const float thresh : {-2.0f, 0.3f, 0.9f, 2.0f}) {
        for (const int most : {boxes, 40}) {
            Floats expected;
            int found = 0;
            for (int box = 0; box < boxes; ++box) {
                if (!(value(box, objectness) > thresh) || found++ >= most) continue;
                float number = 0;
                std::memcpy(&number, &box, sizeof number);
                expected.push_back(number);
                for (int entry = 0; entry < entries; ++entry) expected.push_back(value(box, entry));
            }
            const Floats records = under_every_schedule([&](LaunchOptions options) {
                DeviceTensor output(Storage::f32, kBatch, shape, planes, 3);
                const auto blocks = static_cast<unsigned>((boxes + cuda::kThreads - 1) / cuda::kThreads);
                DeviceArray<int> counts(blocks), total(1);
                DeviceArray<float> place(std::size_t{1} * most * width);
                const cuda::BoxesArgs args{output.view(), boxes,         anchors,      entries, objectness,
                                           thresh,        counts.data(), place.data(), most,    total.data()};
                launch_kernel(cuda::kernel::count_boxes, Storage::f32, {blocks, 1, 1}, args, options);
                launch_kernel(cuda::kernel::collect_boxes, Storage::f32, {blocks, 1, 1}, args, options);
                CHECK(total.read()[0] == found);
                Floats written = place.read();
                written.resize(std::size_t{1} * std::min(found, most) * width);
                return written;
            });
            CHECK(same_bits(records, expected));
        }
    }
}
