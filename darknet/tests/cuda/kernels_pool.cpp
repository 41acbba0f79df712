// SPDX-License-Identifier: Apache-2.0
// kernels/pool.cuh against ref.
#include "kernels.hpp"

#include "backends/cuda/kernels/pool.cuh"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kBatch = 2;

unsigned tiles(int count) { return static_cast<unsigned>((count + cuda::kLanes - 1) / cuda::kLanes); }

// The layer's forward and backward pass on the device, each under every schedule, against ref's. The functions may use
// the source and the output, whichever pass it is.
class Comparison {
public:
    Comparison(const std::string& sections, Shape input, Storage storage)
        : layer_(sections, input, kBatch), storage_(storage) {
        layer_.fill(storage);
        earlier_ = layer_.dsrc[0];
        layer_.forward();
        layer_.backward();
    }

    // step(src, dst, options)
    template <class Step>
    void forward(const Step& step) const {
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceTensor src(storage_, kBatch, layer_.shape(0), layer_.src[0], 3);
            DeviceTensor dst(storage_, kBatch, layer_.node().out, 1);
            step(src, dst, options);
            return dst.read();
        });
        CHECK(largest_error(found, layer_.dst) < 2 * rounding(storage_));
    }
    // step(src, ddst, dsrc, options)
    template <class Step>
    void backward(const Step& step) const {
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceTensor src(storage_, kBatch, layer_.shape(0), layer_.src[0], 3);
            DeviceTensor ddst(storage_, kBatch, layer_.node().out, layer_.ddst, 2);
            DeviceTensor dsrc(storage_, kBatch, layer_.shape(0), earlier_);
            step(src, ddst, dsrc, options);
            return dsrc.read();
        });
        CHECK(largest_error(found, layer_.dsrc[0]) < 6 * rounding(storage_));
    }

    Storage storage() const { return storage_; }
    Shape in() const { return layer_.shape(0); }
    Shape out() const { return layer_.node().out; }
    const PoolParams& params() const { return layer_.node().as<PoolParams>(); }
    cuda::PoolArgs args(DeviceTensor& src, DeviceTensor& dst, unsigned short* index, bool add) const {
        return {src.view(),
                dst.view(),
                index,
                kBatch,
                in().h,
                in().w,
                out().h,
                out().w,
                in().c,
                params().size,
                params().stride_y,
                params().stride_x,
                params().padding / 2,
                add};
    }

private:
    ReferenceLayer layer_;
    Storage storage_;
    Floats earlier_;
};

void maxpool(const std::string& keys, Shape input) {
    CAPTURE(keys);
    for (const Storage storage : kStorages) {
        const Comparison layer("[maxpool]\n" + keys, input, storage);
        const cuda::Dim3 grid{3, 1, 1};
        layer.forward([&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
            launch_kernel(cuda::kernel::maxpool, storage, grid, layer.args(src, dst, nullptr, false), options);
        });
        layer.backward([&](DeviceTensor& src, DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
            DeviceArray<unsigned short> index(kBatch * layer.out().size());
            DeviceTensor dst(storage, kBatch, layer.out());
            launch_kernel(cuda::kernel::maxpool, storage, grid, layer.args(src, dst, index.data(), false), options);
            launch_kernel(cuda::kernel::maxpool_backward, storage, grid, layer.args(ddst, dsrc, index.data(), true),
                          options);
        });
    }
}

}  // namespace

TEST_CASE("kernels pool: the maximum of a window, and its delta to where it was") {
    maxpool("size=2\nstride=2\n", {5, 6, 8});
    maxpool("size=2\nstride=1\n", {3, 7, 5});
    maxpool("size=3\nstride_x=2\nstride_y=1\n", {3, 7, 6});
    maxpool("size=5\nstride=1\n", {2, 9, 4});
    maxpool("size=2\nstride=3\npadding=0\n", {2, 8, 8});  // pixels that no window has
    maxpool("size=3\nstride=2\npadding=4\n", {2, 5, 5});
}

TEST_CASE("kernels pool: the first of equal maxima takes the delta") {
    DeviceTensor src(Storage::f32, 1, {1, 2, 2}, {7, 7, 7, 7}), dst(Storage::f32, 1, {1, 1, 1}),
        dsrc(Storage::f32, 1, {1, 2, 2});
    DeviceArray<unsigned short> index(1);
    cuda::PoolArgs args{src.view(), dst.view(), index.data(), 1, 2, 2, 1, 1, 1, 2, 2, 2, 0, false};
    launch_kernel(cuda::kernel::maxpool, Storage::f32, {1, 1, 1}, args, {});
    dst.write({3});
    args.src = dst.view();
    args.dst = dsrc.view();
    launch_kernel(cuda::kernel::maxpool_backward, Storage::f32, {1, 1, 1}, args, {});
    CHECK(dsrc.read() == Floats{3, 0, 0, 0});
}

TEST_CASE("kernels pool: the maximum over channels") {
    for (const Storage storage : kStorages) {
        const Comparison layer("[maxpool]\nsize=1\nmaxpool_depth=1\nout_channels=3\n", {10, 4, 3}, storage);
        const auto args = [&](DeviceTensor& src, cuda::View dst, cuda::View delta, cuda::View target) {
            return cuda::ChannelPoolArgs{src.view(), dst, delta, target, src.pixels(), 10, 3, true};
        };
        layer.forward([&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
            launch_kernel(cuda::kernel::channel_maxpool, storage, {1, 1, 1}, args(src, dst.view(), kNoView, kNoView),
                          options);
        });
        layer.backward([&](DeviceTensor& src, DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
            launch_kernel(cuda::kernel::channel_maxpool_backward, storage, {1, 1, 1},
                          args(src, kNoView, ddst.view(), dsrc.view()), options);
        });
    }
}

TEST_CASE("kernels pool: the mean of what a window has of the image") {
    for (const Storage storage : kStorages)
        for (const char* keys :
             {"size=2\nstride=2\n", "size=3\nstride_x=1\nstride_y=2\n", "size=3\nstride=2\npadding=6\n"}) {
            CAPTURE(keys);
            const Comparison layer(std::string("[local_avgpool]\n") + keys, {3, 7, 6}, storage);
            layer.forward([&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
                launch_kernel(cuda::kernel::local_avgpool, storage, {2, 1, 1}, layer.args(src, dst, nullptr, false),
                              options);
            });
            layer.backward([&](DeviceTensor&, DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
                launch_kernel(cuda::kernel::local_avgpool_backward, storage, {2, 1, 1},
                              layer.args(ddst, dsrc, nullptr, true), options);
            });
        }
}

TEST_CASE("kernels pool: the mean of each channel") {
    constexpr Shape shape{45, 7, 6};
    for (const Storage storage : kStorages) {
        const Comparison layer("[avgpool]\n", shape, storage);
        const auto args = [&](DeviceTensor& src, DeviceTensor& dst) {
            return cuda::AvgpoolArgs{src.view(), dst.view(), kBatch, shape.h * shape.w, shape.c, true};
        };
        layer.forward([&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
            launch_kernel(cuda::kernel::avgpool, storage, {tiles(shape.c), kBatch, 1}, args(src, dst), options);
        });
        layer.backward([&](DeviceTensor&, DeviceTensor& ddst, DeviceTensor& dsrc, LaunchOptions options) {
            launch_kernel(cuda::kernel::avgpool_backward, storage, {2, 1, 1}, args(dsrc, ddst), options);
        });
    }
}

// Float32 between the two, as ref has it: a rounding more would not be the kernels'.
TEST_CASE("kernels pool: the blur of antialiasing behind a pool of stride 1") {
    for (const int mode : {1, 2}) {
        CAPTURE(mode);
        const Comparison layer(text("[maxpool]\nsize=2\nstride_x=2\nstride_y=1\nantialiasing=", mode, "\n"), {3, 7, 6},
                               Storage::f32);
        const auto& params = layer.params();
        const int shrink = params.size - 1 - params.padding;
        const Shape sharp{3, 7 - shrink, 6 - shrink}, out = layer.out();
        layer.forward([&](DeviceTensor& src, DeviceTensor& dst, LaunchOptions options) {
            DeviceTensor maxima(Storage::f32, kBatch, sharp);
            const cuda::PoolArgs pool{
                src.view(), maxima.view(),      nullptr, kBatch, 7, 6, sharp.h, sharp.w, 3, params.size, 1,
                1,          params.padding / 2, false};
            const cuda::BlurArgs blur{maxima.view(), dst.view(), kBatch, sharp.h,         sharp.w,        out.h,
                                      out.w,         3,          mode,   params.stride_y, params.stride_x};
            launch_kernel(cuda::kernel::maxpool, Storage::f32, {2, 1, 1}, pool, options);
            launch_kernel(cuda::kernel::blur, Storage::f32, {2, 1, 1}, blur, options);
        });
    }
}
