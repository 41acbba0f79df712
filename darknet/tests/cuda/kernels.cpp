// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include "backends/ref/ref.hpp"
#include "sanitizers.hpp"

#if defined(DN_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace dn::test {
namespace {

// Calls visit(pointer to the value as its type) and returns what it returns.
template <class Visit>
auto with_type(Storage storage, void* value, const Visit& visit) {
    if (storage == Storage::f16) return visit(static_cast<cuda::f16*>(value));
    if (storage == Storage::bf16) return visit(static_cast<cuda::bf16*>(value));
    return visit(static_cast<float*>(value));
}

float rounded(Storage storage, float value) {
    alignas(4) unsigned char space[4];
    return with_type(storage, space, [&](auto* stored) {
        cuda::narrow(value, stored);
        return cuda::widen(*stored);
    });
}

}  // namespace

DeviceMemory::DeviceMemory(std::size_t bytes) : all_(bytes + 2 * kGuard, 0xFF) { protect(true); }

DeviceMemory::~DeviceMemory() { protect(false); }

void DeviceMemory::protect(bool on) const {
#if defined(DN_ASAN)
    for (const unsigned char* guard : {all_.data(), all_.data() + all_.size() - kGuard})
        on ? ASAN_POISON_MEMORY_REGION(guard, kGuard) : ASAN_UNPOISON_MEMORY_REGION(guard, kGuard);
#else
    static_cast<void>(on);
#endif
}

bool DeviceMemory::intact() const {
    protect(false);
    const auto whole = [](unsigned char byte) { return byte == 0xFF; };
    const auto guard = static_cast<std::ptrdiff_t>(kGuard);
    const bool intact =
        std::all_of(all_.begin(), all_.begin() + guard, whole) && std::all_of(all_.end() - guard, all_.end(), whole);
    protect(true);
    return intact;
}

DeviceTensor::DeviceTensor(Storage storage, int n, Shape shape, int gap)
    : storage_(storage),
      n_(n),
      shape_(shape),
      pitch_(shape.c + gap),
      memory_(std::size_t{1} * n * shape.h * shape.w * pitch_ * bytes(storage)) {}

std::size_t DeviceTensor::index(int image, int c, std::size_t pixel) const {
    return (std::size_t{1} * image * shape_.h * shape_.w + pixel) * pitch_ + c;
}

void DeviceTensor::write(const Floats& planes) {
    REQUIRE(planes.size() == n_ * shape_.size());
    auto value = planes.begin();
    const std::size_t pixels_of_image = std::size_t{1} * shape_.h * shape_.w;
    for (int i = 0; i < n_; ++i)
        for (int c = 0; c < shape_.c; ++c)
            for (std::size_t p = 0; p < pixels_of_image; ++p)
                with_type(storage_, memory_.data(),
                          [&](auto* first) { cuda::narrow(*value++, first + index(i, c, p)); });
}

Floats DeviceTensor::read() const {
    Floats planes;
    const std::size_t pixels_of_image = std::size_t{1} * shape_.h * shape_.w;
    for (int i = 0; i < n_; ++i)
        for (int c = 0; c < shape_.c; ++c)
            for (std::size_t p = 0; p < pixels_of_image; ++p)
                planes.push_back(with_type(storage_, const_cast<void*>(memory_.data()),
                                           [&](const auto* first) { return cuda::widen(first[index(i, c, p)]); }));
    return planes;
}

cuda::View DeviceTensor::view(int first_channel) {
    return {static_cast<unsigned char*>(memory_.data()) + first_channel * bytes(storage_), pitch_};
}

Floats rounded(Storage storage, const Floats& planes) {
    Floats result = planes;
    for (float& value : result) value = rounded(storage, value);
    return result;
}

Floats random_values(std::size_t count, std::uint64_t seed, float range) {
    Floats values(count);
    for (std::size_t k = 0; k < count; ++k) values[k] = range * (2 * uniform(seed, k) - 1);
    return values;
}

float largest_error(const Floats& found, const Floats& expected) {
    REQUIRE(found.size() == expected.size());
    float largest = 0;
    for (std::size_t k = 0; k < found.size(); ++k) {
        const float error = std::fabs(found[k] - expected[k]) / std::max(1.0f, std::fabs(expected[k]));
        if (!(error <= largest)) largest = std::isnan(error) ? INFINITY : error;
    }
    return largest;
}

bool same_bits(const Floats& a, const Floats& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

ReferenceLayer::ReferenceLayer(const std::string& sections, Shape input, int batch, bool training)
    : graph_(graph_of(sections, input)), parameters_(initial_parameters(graph_, 1)) {
    const Node& last = graph_.nodes.back();
    const auto count = [&](int layer) { return batch * graph_.shape_of(layer).size(); };
    for (const int source : last.inputs) {
        src.emplace_back(count(source));
        dsrc.emplace_back(count(source), 0.0f);
    }
    dst.resize(count(last.index));
    ddst.resize(count(last.index));
    statistics = parameters();
    gradients = statistics;
    for (const Role role : kRoles) std::fill(gradients.array(role).begin(), gradients.array(role).end(), 0.0f);
    KernelContext context{graph_, last, &parameters(), {}, {}, batch, 1};
    for (std::size_t s = 0; s < src.size(); ++s)
        context.src.push_back({src[s].data(), dsrc[s].data(), DType::f32, batch, graph_.shape_of(last.inputs[s]), 0});
    context.dst = {dst.data(), ddst.data(), DType::f32, batch, last.out, 0};
    HostTraining host;
    if (training) host = {&statistics, &gradients, &seen};
    context_ = std::make_unique<HostContext>(HostContext{context, host});
    kernel_ = ref::make_kernel(*context_);
}

void ReferenceLayer::fill(Storage storage, float range) {
    std::uint64_t seed = 100;
    std::vector<Floats*> arrays{&ddst};
    for (Floats& values : src) arrays.push_back(&values);
    for (Floats& values : dsrc) arrays.push_back(&values);
    for (Floats* array : arrays) {
        const Floats values = rounded(storage, random_values(array->size(), seed++, range));
        std::copy(values.begin(), values.end(), array->begin());
    }
}

}  // namespace dn::test
