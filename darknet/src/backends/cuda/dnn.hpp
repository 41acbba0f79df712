// SPDX-License-Identifier: Apache-2.0
// Convolutions by cuDNN's graph interface.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "memory.hpp"
#include "tuning.hpp"
#include "types.hpp"

namespace dn::cuda {

// cuDNN on one stream.
class DnnStream {
public:
    explicit DnnStream(const Stream& stream);
    // For another GPU than that of the stream, described by cuDNN's JSON of its properties: it plans and cannot run.
    DnnStream(const Stream& stream, const std::string& properties);
    ~DnnStream();
    DnnStream(const DnnStream&) = delete;
    DnnStream& operator=(const DnnStream&) = delete;

    const Device& device() const { return stream_.device(); }
    const Stream& stream() const { return stream_; }
    abi::DnnHandle* handle() const { return handle_; }
    abi::Descriptor properties() const { return properties_; }  // null: those of the stream's GPU

private:
    const Stream& stream_;
    abi::DnnHandle* handle_ = nullptr;
    abi::Descriptor properties_ = nullptr;
};

enum class Pass { forward, data, filter };

// Channels-last and dense: x (n, h, w, c), y (n, out_h, out_w, k), weights (k, size, size, c / groups), all of one
// type.
struct ConvolutionShape {
    int n, c, h, w;
    int k, out_h, out_w;
    int size, stride_y, stride_x, pad, dilation, groups;
    DType type;
    bool tf32;  // float32 values may be multiplied as TF32

    std::size_t weight_count() const { return std::size_t{1} * k * size * size * (c / groups); }
};

// The most scratch memory that an engine may take.
constexpr std::size_t kMostWorkspace = std::size_t{256} << 20;

// A pass of a convolution, bound to an engine of cuDNN that gives the same bits in every run, keeps the precision,
// needs no compiler and fits the scratch memory.
class Convolution {
public:
    // The engine that cuDNN's heuristic puts first; with a `tuning` the fastest of the first few. Throws Error(backend)
    // with `where` if there is none.
    Convolution(const DnnStream& dnn, const ConvolutionShape& shape, Pass pass, const std::string& where,
                const Tuning* tuning = nullptr);
    ~Convolution();
    Convolution(Convolution&&) noexcept;

    std::size_t workspace_bytes() const;
    int engine() const;  // cuDNN's number, for profiles
    // forward: from x and weights to y. data: from y and weights to x. filter: from x and y to weights. Replaces what
    // is there. Buffers begin at multiples of 16 bytes.
    void run(void* x, void* weights, void* y, void* workspace) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace dn::cuda
