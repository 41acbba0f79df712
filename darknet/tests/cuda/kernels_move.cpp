// SPDX-License-Identifier: Apache-2.0
// kernels/move.cuh: values arrive where ref has them, with their bits in float32.
#include "kernels.hpp"

#include "backends/cuda/kernels/move.cuh"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kBatch = 2;
constexpr Shape kShape{37, 5, 9};

unsigned tiles(int count) { return static_cast<unsigned>((count + cuda::kLanes - 1) / cuda::kLanes); }

// For one source: the output by `forward`, then the source's delta by `backward`, compared with ref.
template <class Forward, class Backward>
void compare(ReferenceLayer& layer, Storage storage, float tolerance, const Forward& forward,
             const Backward& backward) {
    CAPTURE(suffix(storage));
    layer.fill(storage);
    const Floats earlier = layer.dsrc[0];
    layer.forward();
    const Floats out = under_every_schedule([&](LaunchOptions options) {
        DeviceTensor src(storage, layer.batch(), layer.shape(0), layer.src[0], 3);
        DeviceTensor dst(storage, layer.batch(), layer.node().out, 2);
        forward(src, dst, options);
        return dst.read();
    });
    CHECK(largest_error(out, layer.dst) <= tolerance * rounding(storage));
    const Floats delta = under_every_schedule([&](LaunchOptions options) {
        DeviceTensor ddst(storage, layer.batch(), layer.node().out, layer.ddst, 2);
        DeviceTensor dsrc(storage, layer.batch(), layer.shape(0), earlier, 1);
        backward(ddst, dsrc, options);
        return dsrc.read();
    });
    layer.backward();
    CHECK(largest_error(delta, layer.dsrc[0]) <= tolerance * rounding(storage));
}

void upsample(const std::string& sections, Shape input, int stride, bool enlarges) {
    ReferenceLayer layer(sections, input, kBatch);
    const Shape small = enlarges ? input : layer.node().out, large = enlarges ? layer.node().out : input;
    const float scale = layer.node().as<UpsampleParams>().scale;
    const auto run = [&](bool spread, Storage storage, DeviceTensor& src, DeviceTensor& dst, bool add,
                         const LaunchOptions& options) {
        launch_kernel(
            spread ? cuda::kernel::spread : cuda::kernel::collect, storage, grid_for(dst.pixels() * dst.channels()),
            {src.view(), dst.view(), kBatch, small.h, small.w, large.h, large.w, input.c, stride, scale, add}, options);
    };
    for (const Storage storage : kStorages)
        compare(
            layer, storage, 8,
            [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                run(enlarges, storage, src, dst, false, options);
            },
            [&](DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
                run(!enlarges, storage, ddst, dsrc, true, options);
            });
}

// The map of a permutation, channels last, found by sending numbers through ref.
std::vector<int> map_of(ReferenceLayer& layer) {
    const Shape in = layer.shape(0), out = layer.node().out;
    const int in_pixels = in.h * in.w, out_pixels = out.h * out.w;
    for (std::size_t k = 0; k < layer.src[0].size(); ++k) layer.src[0][k] = static_cast<float>(k);
    layer.forward();
    std::vector<int> from(out.size());
    for (int c = 0; c < out.c; ++c)
        for (int p = 0; p < out_pixels; ++p) {
            const int number = static_cast<int>(layer.dst[c * out_pixels + p]);
            from[p * out.c + c] = number % in_pixels * in.c + number / in_pixels;
        }
    return from;
}

void permute(const std::string& sections, Shape input) {
    ReferenceLayer layer(sections, input, kBatch);
    const std::vector<int> from = map_of(layer);
    std::vector<int> back(from.size());
    for (std::size_t k = 0; k < from.size(); ++k) back[from[k]] = static_cast<int>(k);
    const Shape in = input, out = layer.node().out;
    for (const Storage storage : kStorages)
        compare(
            layer, storage, 2,
            [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                DeviceArray<int> map(from);
                launch_kernel(
                    cuda::kernel::gather, storage, {2, 1, 1},
                    {src.view(), dst.view(), map.data(), kBatch, in.h * in.w, in.c, out.h * out.w, out.c, 1, 0, false},
                    options);
            },
            [&](DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
                DeviceArray<int> map(back);
                launch_kernel(
                    cuda::kernel::gather, storage, {2, 1, 1},
                    {ddst.view(), dsrc.view(), map.data(), kBatch, out.h * out.w, out.c, in.h * in.w, in.c, 1, 0, true},
                    options);
            });
}

}  // namespace

TEST_CASE("kernels move: planes become a tensor and planes again") {
    for (const Storage storage : kStorages) {
        CAPTURE(suffix(storage));
        const Floats planes = rounded(storage, random_values(kBatch * kShape.size(), 1));
        const int pixels = kShape.h * kShape.w;
        const cuda::Dim3 grid{tiles(pixels), tiles(kShape.c), kBatch};
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceArray<float> from(planes), to(planes.size());
            DeviceTensor tensor(storage, kBatch, kShape, 3);
            const auto step = static_cast<long long>(kShape.size());
            launch_kernel(cuda::kernel::from_planes, storage, grid,
                          {from.data(), tensor.view(), step, pixels, kShape.c}, options);
            CHECK(same_bits(tensor.read(), planes));
            launch_kernel(cuda::kernel::to_planes, storage, grid, {to.data(), tensor.view(), step, pixels, kShape.c},
                          options);
            return to.read();
        });
        CHECK(same_bits(found, planes));
    }
}

TEST_CASE("kernels move: one array fills every image, as [implicit] does") {
    ReferenceLayer layer("[implicit]\nfilters=37\n", {3, 4, 4}, kBatch);
    const Shape out = layer.node().out;
    layer.forward();
    DeviceArray<float> weights(layer.parameters().weights);
    DeviceTensor dst(Storage::f32, kBatch, out);
    launch_kernel(cuda::kernel::from_planes, Storage::f32, {tiles(out.h * out.w), tiles(out.c), kBatch},
                  {weights.data(), dst.view(), 0, out.h * out.w, out.c}, {});
    CHECK(same_bits(dst.read(), layer.dst));
}

TEST_CASE("kernels move: a tile without its barrier changes with the order of threads") {
    const Floats planes = random_values(kBatch * kShape.size(), 1);
    const int pixels = kShape.h * kShape.w;
    const auto moved = [&](LaunchOptions options) {
        DeviceArray<float> from(planes);
        DeviceTensor tensor(Storage::f32, kBatch, kShape);
        launch_kernel(cuda::kernel::from_planes, Storage::f32, {tiles(pixels), tiles(kShape.c), kBatch},
                      {from.data(), tensor.view(), static_cast<long long>(kShape.size()), pixels, kShape.c}, options);
        return tensor.read();
    };
    for (const Schedule schedule : kSchedules) CHECK_FALSE(same_bits(moved({schedule, 0}), planes));
}

TEST_CASE("kernels move: copies scale, add, change the type and reach a slice of channels alone") {
    const Floats x = random_values(kBatch * kShape.size(), 1), y = random_values(x.size(), 2);
    const Floats factors = random_values(kShape.c, 3);
    const std::size_t plane = std::size_t{1} * kShape.h * kShape.w;
    for (const Storage storage : kStorages) {
        CAPTURE(suffix(storage));
        DeviceTensor src(storage, kBatch, kShape, x, 1), dst(storage, kBatch, kShape, y),
            wide(Storage::f32, kBatch, kShape, y);
        DeviceArray<float> by(factors);
        const cuda::Dim3 grid{2, 1, 1};
        const int first = 4, count = 20;
        launch_kernel(cuda::kernel::copy, storage, grid,
                      {src.view(), dst.view(first), by.data(), src.pixels(), count, 0.5f, true}, {});
        launch_kernel(cuda::kernel::copy_to_f32, storage, grid,
                      {src.view(), wide.view(), nullptr, src.pixels(), kShape.c, 1, false}, {});
        const Floats from = src.read(), found = dst.read();
        CHECK(same_bits(wide.read(), from));
        Floats expected = rounded(storage, y);
        for (std::size_t k = 0; k < expected.size(); ++k) {
            const int c = static_cast<int>(k / plane) % kShape.c;
            if (c >= first && c < first + count) expected[k] += 0.5f * factors[c - first] * from[k - first * plane];
        }
        CHECK(same_bits(found, rounded(storage, expected)));
        wide.write(y);
        launch_kernel(cuda::kernel::copy_from_f32, storage, grid,
                      {wide.view(), dst.view(), nullptr, src.pixels(), kShape.c, 1, false}, {});
        CHECK(same_bits(dst.read(), rounded(storage, y)));
    }
}

TEST_CASE("kernels move: upsample spreads and collects as ref does") {
    upsample("[upsample]\nstride=2\nscale=0.75\n", {5, 3, 4}, 2, true);
    upsample("[upsample]\nstride=3\n", {2, 4, 3}, 3, true);
    upsample("[upsample]\nstride=-2\nscale=0.5\n", {5, 4, 6}, 2, false);
    upsample("[upsample]\nstride=-2\n", {3, 5, 7}, 2, false);  // a row and a column are left over
}

TEST_CASE("kernels move: reorg, forwards and reversed") {
    permute("[reorg]\nstride=2\n", {8, 4, 6});
    permute("[reorg]\nstride=2\nreverse=1\n", {8, 4, 6});
    permute("[reorg3d]\nstride=2\n", {3, 4, 6});
}

TEST_CASE("kernels move: a crop is a map that scales, and a negative number leaves its target alone") {
    ReferenceLayer layer("[crop]\ncrop_height=3\ncrop_width=4\n", {3, 6, 7}, kBatch);
    layer.fill(Storage::f32);
    layer.forward();
    const Shape in = layer.shape(0), out = layer.node().out;
    std::vector<int> from;
    for (int y = 0; y < out.h; ++y)
        for (int x = 0; x < out.w; ++x)
            for (int c = 0; c < out.c; ++c)
                from.push_back(((y + (in.h - out.h) / 2) * in.w + x + (in.w - out.w) / 2) * in.c + c);
    DeviceTensor src(Storage::f32, kBatch, in, layer.src[0]), dst(Storage::f32, kBatch, out);
    const auto gather = [&](float scale, float offset) {
        DeviceArray<int> map(from);
        launch_kernel(
            cuda::kernel::gather, Storage::f32, {2, 1, 1},
            {src.view(), dst.view(), map.data(), kBatch, in.h * in.w, in.c, out.h * out.w, out.c, scale, offset, false},
            {});
        return dst.read();
    };
    const Floats cropped = gather(2, -1);
    CHECK(same_bits(cropped, layer.dst));
    std::fill(from.begin(), from.end(), -1);
    CHECK(same_bits(gather(5, 5), cropped));
}

TEST_CASE("kernels move: dropout draws the CPU's numbers, and the same again in backward") {
    ReferenceLayer layer("[dropout]\nprobability=0.3\n", kShape, kBatch);
    layer.seen = 12345;
    const auto run = [&](Storage storage, DeviceTensor& src, DeviceTensor& dst, bool add, LaunchOptions options) {
        DeviceArray<unsigned long long> seen(std::vector<unsigned long long>{layer.seen});
        launch_kernel(cuda::kernel::dropout, storage, {2, 1, 1},
                      {src.view(), dst.view(), seen.data(), kBatch, kShape.h * kShape.w, kShape.c, layer.node().index,
                       layer.node().as<DropoutParams>().probability, add},
                      options);
    };
    for (const Storage storage : kStorages)
        compare(
            layer, storage, 2,
            [&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                run(storage, src, dst, false, options);
            },
            [&](DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
                run(storage, ddst, dsrc, true, options);
            });
    CHECK(std::count(layer.dst.begin(), layer.dst.end(), 0.0f) > 0);
}
