// SPDX-License-Identifier: Apache-2.0
// What most layers of this backend are: a few launches with arguments that do not change.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernel_context.hpp"
#include "launch.hpp"

namespace dn::cuda {

// Whether sources and output have one storage type, as most kernels need. Others than heads differ rarely: behind a
// head.
inline bool has_one_type(const std::vector<Tensor>& src, const Tensor& dst) {
    for (const Tensor& tensor : src)
        if (tensor.type != dst.type) return false;
    return true;
}
inline bool has_one_type(const Context& context) { return has_one_type(context.src, context.dst); }

inline bool is_pointwise(Activation activation) { return activation < Activation::normalize_channels; }

inline int pixels_of_image(const Tensor& tensor) { return tensor.shape.h * tensor.shape.w; }

// Integers on the device, which a kernel reads.
class DeviceTable {
public:
    DeviceTable() = default;
    DeviceTable(const Stream& stream, const std::vector<int>& values)
        : buffer_(stream.shared_device(), values.size() * sizeof(int)) {
        stream.upload(values.data(), buffer_.get(), values.size() * sizeof(int));
        stream.synchronize();
    }
    const int* get() const { return buffer_.get<int>(); }

private:
    DeviceBuffer buffer_;
};

class Launches : public Kernel {
public:
    Launches(const Context& context, const char* what) : runtime_(context.runtime), what_(what) {}

    // The kernel for a storage type, by a grid or for a number of values.
    template <class Args, class Size>
    void add(const KernelName<Args>& kernel, DType type, Size size, const Args& args) {
        steps_.push_back([launch = Launch<Args>(runtime_, kernel, type), size, args] { launch(size, args); });
    }
    // Zeros in a dense tensor.
    void add_clear(const Tensor& tensor) {
        steps_.emplace_back([this, tensor] { runtime_.stream.clear(tensor.data, tensor.size() * bytes(tensor.type)); });
    }
    // Keeps a table as long as the kernel.
    const int* keep(const std::vector<int>& values) {
        tables_.emplace_back(runtime_.stream, values);
        return tables_.back().get();
    }

    void forward() override {
        for (const auto& step : steps_) step();
    }
    std::string what() const override { return what_; }

private:
    Runtime& runtime_;
    const char* what_;
    std::vector<std::function<void()>> steps_;
    std::vector<DeviceTable> tables_;
};

// A layer that one launch computes.
template <class Args, class Size>
std::unique_ptr<Kernel> make_launch(const Context& context, const char* what, const KernelName<Args>& kernel, Size size,
                                    const Args& args) {
    auto launches = std::make_unique<Launches>(context, what);
    launches->add(kernel, context.src.empty() ? context.dst.type : context.src[0].type, size, args);
    return launches;
}

// dst = scale * src + offset, or added to it; value k of an image of dst from value table[k] of src.
void add_gather(Launches& launches, const Tensor& src, const Tensor& dst, const std::vector<int>& table, float scale,
                float offset, bool add);
// Such a table of a [reorg] or [reorg3d].
std::vector<int> reorg_table(const Node& node);
// Whether its weights are packed in the type of the plan; others are used as they are.
inline bool has_filters(const Node& node) { return node.kind == Kind::convolutional || node.kind == Kind::connected; }
// Bytes of the tables that a layer's kernel of inference keeps, and of all that it keeps there for a batch.
std::size_t table_bytes(const Node& node);
std::size_t kept_bytes(const Node& node, int batch);
// Whether the device adds up these sources of a [shortcut].
bool adds_on_device(const Node& node, const std::vector<Tensor>& src, const Tensor& dst);

// An array of the layer's parameters on the device, float32, as it stands in the weights file.
const float* parameter(const Context& context, Role role);

}  // namespace dn::cuda
