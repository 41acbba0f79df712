// SPDX-License-Identifier: Apache-2.0
// A network ready to run: graph x parameters x backend. Plans are compiled on first use and kept per batch and size.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "detect.hpp"
#include "image.hpp"
#include "weights.hpp"

namespace dn {

struct NetworkOptions {
    std::string backend = "auto";
    Precision precision = Precision::automatic;
    int batch = 1;
    int threads = 0;  // 0: all cores this process may use
    bool strict = true;
};

struct DetectOptions {
    float thresh = 0.25f, nms = 0.45f;  // nms 0: none
    bool letterbox = false;
};

class Network {
public:
    Network(const Cfg& cfg, const std::string& weights_path, const NetworkOptions& options);
    Network(const Network& other);  // shares the parameters
    Network& operator=(const Network&) = delete;

    const Graph& graph() const { return *graph_; }
    const WeightsReport& weights_report() const { return report_; }
    // As a training in another thread has left them; it waits, before the next update, until the result is gone.
    LockedParameters parameters() const { return read_parameters(*graph_, *parameters_); }
    const std::shared_ptr<Parameters>& shared_parameters() const { return parameters_; }
    const std::shared_ptr<const Backend>& shared_backend() const { return backend_; }
    const std::shared_ptr<const Graph>& shared_graph() const { return graph_; }
    const NetworkOptions& options() const { return options_; }
    const std::string& backend_name() const { return backend_name_; }
    const std::string& device() const { return device_; }
    const PrecisionChoice& precision() const { return precision_; }  // never `automatic`

    void resize(int width, int height);
    void set_batch(int batch);

    // x: planes (n, c, h, w) in 0..1, n at most the batch. `wanted`: layers to read afterwards; empty: the heads.
    void predict(const float* x, int n, const std::vector<int>& wanted);
    // The output of a layer after predict(): (n, outputs) into dst, which holds `count` floats.
    void read(int layer, float* dst, std::size_t count) const;
    // The losses, by node, of the images of the last predict() (or of detect(), its last batch), given their truths:
    // the forward pass was that of inference, and nothing is learned. The layers that own a cost must have been wanted.
    std::vector<LossReport> losses(const Truths& truths) const;
    // Detections of each image, in image pixels; images are run in batches.
    std::vector<std::vector<Detection>> detect(const ImageView* images, int count, const DetectOptions& options);

    int classes() const;  // of the first head; 0 without one

    std::vector<LayerTime> profile();
    std::vector<double> layer_errors();  // by node, of a backend "check:A,B"; see backends/check.hpp
    const Plan* compiled_plan() const { return plan_.get(); }

private:
    void want(const std::vector<int>& layers);
    void drop_plan();
    Plan& plan(const Parameters& current);  // for the current batch, size, wanted layers and parameters
    void forward(Plan& compiled, int n);
    std::vector<std::vector<Detection>> detections(const ImageView* images, int n, const DetectOptions& options) const;
    void nms(std::vector<Candidate>& candidates, float thresh) const;

    std::shared_ptr<const Graph> graph_;
    std::shared_ptr<Parameters> parameters_;
    WeightsReport report_;
    NetworkOptions options_;
    std::shared_ptr<const Backend> backend_;
    std::string backend_name_, device_;
    PrecisionChoice precision_{};
    std::unique_ptr<Plan> plan_;
    // Of the parameters it was compiled from.
    std::uint64_t plan_weights_version_ = 0, plan_statistics_version_ = 0;
    std::vector<int> wanted_;
    int predicted_ = 0;  // images of the last predict()
};

struct MemoryNeed {
    std::size_t plan;        // bytes of a plan, see Backend::plan_bytes
    std::size_t parameters;  // bytes of the network's own, in main memory
    std::size_t free;        // bytes that the backend has left for plans; 0: not reported
};

// What a network would take in inference or training, without making it. width and height 0: those of the cfg.
MemoryNeed memory_need(const Cfg& cfg, const NetworkOptions& options, int width, int height, bool training);

}  // namespace dn
