// SPDX-License-Identifier: Apache-2.0
// Layers that run the reference kernel in training, on copies of all that they use: tensors, parameters, rolling
// statistics and gradients.
#include "../../adapt/by_reference.hpp"

#include <algorithm>

#include "../layout.hpp"
#include "train.hpp"

namespace dn::cuda {
namespace {

// The arrays of the node that owns a layer's weights, between the device and the host.
class HostArrays {
public:
    explicit HostArrays(const TrainContext& context)
        : stream_(context.runtime.stream),
          state_(*context.state),
          owner_(context.graph.nodes[weights_owner(context.graph, context.node.index)]),
          trains_(context.trains()) {
        for (const ArraySpec& spec : owner_.arrays) {
            parameters_.array(spec.role).resize(spec.count);
            (is_rolling(spec.role) ? statistics_ : gradients_).array(spec.role).resize(spec.count);
        }
    }

    HostContext context(const TrainContext& of) {
        HostContext host{of, {}};
        host.params = &parameters_;
        if (trains_) static_cast<HostTraining&>(host) = {&statistics_, &gradients_, &seen_};
        return host;
    }

    float loss_scale() const { return state_.loss_scale(); }

    void fetch() {
        for (const ArraySpec& spec : owner_.arrays) {
            download(state_.parameters(owner_.index, spec.role), parameters_.array(spec.role));
            if (trains_ && is_rolling(spec.role))
                download(state_.rolling(owner_.index, spec.role), statistics_.array(spec.role));
        }
        if (trains_) stream_.download(state_.seen(), &seen_, sizeof seen_);
        stream_.synchronize();
    }

    void return_statistics() {
        if (!trains_) return;
        for (const ArraySpec& spec : owner_.arrays)
            if (is_rolling(spec.role)) upload(statistics_.array(spec.role), state_.rolling(owner_.index, spec.role));
        stream_.synchronize();
    }

    void clear_gradients() {
        for (const Role role : kTrainedRoles) {
            Floats& values = gradients_.array(role);
            std::fill(values.begin(), values.end(), 0.0f);
        }
    }

    void add_gradients() {
        for (const ArraySpec& spec : owner_.arrays) {
            if (is_rolling(spec.role)) continue;
            Floats& found = gradients_.array(spec.role);
            Floats sum(found.size());
            download(state_.gradients(owner_.index, spec.role), sum);
            stream_.synchronize();
            for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += found[k];
            upload(sum, state_.gradients(owner_.index, spec.role));
            stream_.synchronize();
        }
    }

private:
    void download(const float* from, Floats& to) const { stream_.download(from, to.data(), to.size() * sizeof(float)); }
    void upload(const Floats& from, float* to) const { stream_.upload(from.data(), to, from.size() * sizeof(float)); }

    const Stream& stream_;
    const CudaTrainState& state_;
    const Node& owner_;
    const bool trains_;
    NodeParameters parameters_, statistics_, gradients_;
    std::uint64_t seen_ = 0;
};

class TrainByReference : public ByReference<HostLayout, HostKernel> {
public:
    TrainByReference(const TrainContext& context, std::unique_ptr<HostArrays> arrays)
        : ByReference(arrays->context(context), ref::make_kernel, HostLayout(context.runtime.stream)),
          arrays_(std::move(arrays)),
          flow_(context.flow),
          values_(context.dst.size()) {}

    void forward() override {
        arrays_->fetch();
        ByReference::forward();
        arrays_->return_statistics();
    }

    // The plan has written the delta of a loss to the device, where that of other layers joined it.
    void backward() override {
        std::fill_n(output_delta(), values_, 0.0f);
        arrays_->clear_gradients();
        backward_by_planes(true, flow_.overwrite, arrays_->loss_scale());
        arrays_->add_gradients();
    }

private:
    std::unique_ptr<HostArrays> arrays_;
    const DeltaFlow flow_;
    const std::size_t values_;
};

}  // namespace

std::unique_ptr<Kernel> train_by_reference(const TrainContext& context) {
    return std::make_unique<TrainByReference>(context, std::make_unique<HostArrays>(context));
}

}  // namespace dn::cuda
