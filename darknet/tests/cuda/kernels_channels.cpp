// SPDX-License-Identifier: Apache-2.0
// kernels/channels.cuh against ref.
#include "kernels.hpp"

#include "backends/cuda/kernels/activations.cuh"
#include "backends/cuda/kernels/channels.cuh"
#include "backends/cuda/kernels/move.cuh"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kBatch = 2, kChunks = 3;
constexpr cuda::Dim3 kGrid{2, 1, 1};

unsigned tiles(int count) { return static_cast<unsigned>((count + cuda::kLanes - 1) / cuda::kLanes); }

// The layer on the device: every array of the reference layer as tensors, with the results of a forward and a backward
// pass.
struct Device {
    Device(const ReferenceLayer& layer, Storage type) : storage(type) {
        const Shape out = layer.node().out;
        for (std::size_t s = 0; s < layer.src.size(); ++s) {
            const Shape shape = layer.shape(static_cast<int>(s));
            src.push_back(std::make_unique<DeviceTensor>(type, kBatch, shape, layer.src[s], 3));
            dsrc.push_back(std::make_unique<DeviceTensor>(type, kBatch, shape, layer.dsrc[s], 1));
        }
        for (auto* tensor : {&dst, &linear}) *tensor = std::make_unique<DeviceTensor>(type, kBatch, out, 2);
        ddst = std::make_unique<DeviceTensor>(type, kBatch, out, layer.ddst);
    }

    // The delta becomes that in front of the activation.
    void activate_backward(int activation, const LaunchOptions& options) {
        launch_kernel(cuda::kernel::activate_backward, storage, kGrid,
                      {linear->view(), dst->view(), ddst->view(), ddst->view(), dst->pixels(), dst->channels(),
                       activation, false},
                      options);
    }

    Floats results() const {
        Floats all = dst->read();
        for (const auto& delta : dsrc) {
            const Floats values = delta->read();
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    }

    Storage storage;
    std::vector<std::unique_ptr<DeviceTensor>> src, dsrc;
    std::unique_ptr<DeviceTensor> dst, linear, ddst;
};

// run(device, options) makes dst and the deltas of the sources; they must be ref's, under every schedule. `slope`: the
// largest slope of the activation, by which the rounding of the delta grows.
template <class Run>
void compare(ReferenceLayer& layer, Storage storage, float tolerance, const Run& run) {
    CAPTURE(suffix(storage));
    layer.fill(storage);
    const Floats found = under_every_schedule([&](LaunchOptions options) {
        Device device(layer, storage);
        run(device, options);
        return device.results();
    });
    layer.forward();
    layer.backward();
    Floats expected = layer.dst;
    for (const Floats& delta : layer.dsrc) expected.insert(expected.end(), delta.begin(), delta.end());
    CHECK(largest_error(found, expected) < tolerance * rounding(storage));
}

Floats without_nan(Floats values) {
    for (const float value : values) REQUIRE_FALSE(std::isnan(value));
    return values;
}

// A weighted shortcut of three sources, one with fewer and one with more channels than the first.
void shortcut(const std::string& keys) {
    CAPTURE(keys);
    const std::string sections =
        "[convolutional]\nfilters=6\nactivation=linear\n[convolutional]\nfilters=9\nactivation=linear\n"
        "[convolutional]\nfilters=7\nactivation=linear\n[shortcut]\nfrom=0,1\n" +
        keys;
    for (const Storage storage : kStorages) {
        ReferenceLayer layer(sections, {3, 5, 6}, kBatch);
        const auto& params = layer.node().as<ShortcutParams>();
        const int channels = layer.node().out.c, sources = static_cast<int>(layer.src.size());
        const auto code = static_cast<int>(params.activation);
        const int per_source = params.weights_per_source;
        layer.parameters().weights = random_values(layer.parameters().weights.size(), 5, 0.7f);
        const Floats earlier = layer.gradients.weights;
        Floats gradients;
        compare(layer, storage, 12, [&](Device& device, LaunchOptions options) {
            DeviceArray<float> weights(layer.parameters().weights), sums(earlier);
            DeviceArray<float> factors(std::size_t{1} * sources * channels),
                partial(std::size_t{1} * channels * kChunks);
            if (per_source > 0)
                launch_kernel(cuda::kernel::shortcut_factors, storage, {1, 1, 1},
                              {weights.data(), factors.data(), sources, per_source, channels,
                               static_cast<int>(params.normalization)},
                              options);
            cuda::ShortcutArgs args{};
            for (int s = 0; s < sources; ++s) {
                args.src[s] = device.src[s]->view();
                args.src_channels[s] = layer.shape(s).c;
            }
            args.factors = per_source > 0 ? factors.data() : nullptr;
            args.linear = device.linear->view();
            args.dst = device.dst->view();
            args.pixels = device.dst->pixels();
            args.sources = sources;
            args.channels = channels;
            args.activation = code;
            launch_kernel(cuda::kernel::shortcut, storage, kGrid, args, options);
            device.activate_backward(code, options);
            for (int s = 0; s < sources; ++s) {
                const int shared = std::min(channels, layer.shape(s).c);
                const float* own = per_source > 0 ? factors.data() + s * channels : nullptr;
                launch_kernel(cuda::kernel::copy, storage, kGrid,
                              {device.ddst->view(), device.dsrc[s]->view(), own, args.pixels, shared, 1, true},
                              options);
                if (per_source == 0) continue;
                launch_kernel(cuda::kernel::products, storage, {tiles(shared), kChunks, 1},
                              {device.ddst->view(), device.src[s]->view(), partial.data(), args.pixels, shared},
                              options);
                launch_kernel(cuda::kernel::shortcut_gradients, storage, {1, 1, 1},
                              {partial.data(), own, sums.data() + s * per_source, nullptr, shared, kChunks, per_source,
                               static_cast<int>(params.normalization)},
                              options);
            }
            gradients = sums.read();
        });
        CHECK(largest_error(without_nan(gradients), layer.gradients.weights) < 20 * rounding(storage) + 1e-5f);
    }
}

}  // namespace

TEST_CASE("kernels channels: shortcut with sources of fewer and more channels, weighted and normalised") {
    shortcut("activation=leaky\n");
    shortcut("activation=mish\nweights_type=per_feature\n");
    shortcut("activation=linear\nweights_type=per_channel\n");
    shortcut("activation=linear\nweights_type=per_feature\nweights_normalization=softmax\n");
}

TEST_CASE("kernels channels: scale_channels by channel and by pixel") {
    for (const bool by_pixel : {false, true})
        for (const Storage storage : kStorages) {
            CAPTURE(by_pixel);
            const std::string from = "[convolutional]\nfilters=40\nactivation=linear\n";
            const std::string factors = by_pixel ? "[convolutional]\nfilters=1\nactivation=linear\n" : "[avgpool]\n";
            const std::string own =
                text("[scale_channels]\nfrom=0\nactivation=logistic\nscale_wh=", by_pixel ? 1 : 0, "\n");
            ReferenceLayer layer(from + factors + own, {3, 5, 6}, kBatch);
            const Shape out = layer.node().out;
            const int pixels = out.h * out.w;
            compare(layer, storage, 12, [&](Device& device, LaunchOptions options) {
                const auto scale = [&](DeviceTensor& x, cuda::View linear, DeviceTensor& y, int activation, bool add) {
                    launch_kernel(cuda::kernel::scale_channels, storage, kGrid,
                                  {device.src[0]->view(), x.view(), linear, y.view(), kBatch, pixels, out.c, activation,
                                   by_pixel, add},
                                  options);
                };
                scale(*device.src[1], device.linear->view(), *device.dst, cuda::kLogistic, false);
                device.activate_backward(cuda::kLogistic, options);
                scale(*device.ddst, kNoView, *device.dsrc[1], cuda::kLinear, true);
                const cuda::ScaleFactorsArgs sums{
                    device.ddst->view(), device.src[1]->view(), device.dsrc[0]->view(), kBatch, pixels, out.c, true};
                if (by_pixel)
                    launch_kernel(cuda::kernel::scale_factors_by_pixel, storage, {1, 1, 1}, sums, options);
                else
                    launch_kernel(cuda::kernel::scale_factors_by_channel, storage, {tiles(out.c), kBatch, 1}, sums,
                                  options);
            });
        }
}

TEST_CASE("kernels channels: sam multiplies, and passes each delta times the other source") {
    for (const Storage storage : kStorages) {
        ReferenceLayer layer(
            "[activation]\nactivation=linear\n[activation]\nactivation=linear\n"
            "[sam]\nfrom=0\nactivation=swish\n",
            {5, 4, 6}, kBatch);
        compare(layer, storage, 12, [&](Device& device, LaunchOptions options) {
            const auto multiply = [&](DeviceTensor& a, DeviceTensor& b, cuda::View linear, DeviceTensor& y,
                                      int activation, bool add) {
                launch_kernel(cuda::kernel::multiply, storage, kGrid,
                              {a.view(), b.view(), linear, y.view(), y.pixels(), y.channels(), activation, add},
                              options);
            };
            multiply(*device.src[0], *device.src[1], device.linear->view(), *device.dst, cuda::kSwish, false);
            device.activate_backward(cuda::kSwish, options);
            multiply(*device.ddst, *device.src[1], kNoView, *device.dsrc[0], cuda::kLinear, true);
            multiply(*device.ddst, *device.src[0], kNoView, *device.dsrc[1], cuda::kLinear, true);
        });
    }
}

TEST_CASE("kernels channels: the gradient of [implicit] is the sum over the images") {
    ReferenceLayer layer("[implicit]\nfilters=37\n", {3, 4, 4}, kBatch);
    for (const Storage storage : kStorages) {
        layer.fill(storage);
        const Floats earlier = layer.gradients.weights;
        layer.backward();
        const Shape out = layer.node().out;
        DeviceTensor delta(storage, kBatch, out, layer.ddst, 1);
        DeviceArray<float> gradients(earlier);
        launch_kernel(cuda::kernel::sum_images, storage, kGrid,
                      {delta.view(), gradients.data(), nullptr, kBatch, out.h * out.w, out.c}, {});
        CHECK(largest_error(gradients.read(), layer.gradients.weights) < 1e-6f);
    }
}

TEST_CASE("kernels channels: local response normalisation with Darknet's window") {
    for (const Storage storage : kStorages)
        for (const int size : {5, 4, 30}) {
            CAPTURE(size);
            ReferenceLayer layer(text("[normalization]\nsize=", size, "\nalpha=0.2\nbeta=0.75\nkappa=3\n"), {20, 3, 4},
                                 kBatch);
            const auto& params = layer.node().as<NormalizationParams>();
            compare(layer, storage, 12, [&](Device& device, LaunchOptions options) {
                DeviceArray<float> norms(layer.dst.size());
                const cuda::ResponseArgs args{device.src[0]->view(),
                                              device.dst->view(),
                                              device.ddst->view(),
                                              device.dsrc[0]->view(),
                                              norms.data(),
                                              device.dst->pixels(),
                                              20,
                                              params.size,
                                              params.alpha,
                                              params.beta,
                                              params.kappa,
                                              true};
                launch_kernel(cuda::kernel::normalize_response, storage, {1, 1, 1}, args, options);
                launch_kernel(cuda::kernel::normalize_response_backward, storage, kGrid, args, options);
            });
        }
}
