// SPDX-License-Identifier: Apache-2.0
// The network* of the compatibility interface: a plain block that points to the state it owns.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "compat/compat.hpp"

namespace dn::compat {

class State;

// The results of one forward pass, kept apart from the network, which other threads may run meanwhile.
struct Forward {
    std::weak_ptr<const State> owner;
    std::shared_ptr<const Graph> graph;
    std::vector<Floats> heads;  // (n, outputs) each
    Floats output;              // (n, outputs) of the last layer

    std::vector<Candidate> decode(int item, const DecodeOptions& options) const;
};

// A loaded network. Calls from several threads take turns.
class State : public std::enable_shared_from_this<State> {
public:
    State(const char* cfg, const char* weights, int batch);

    Shape input() const { return input_; }
    int batch() const { return batch_; }
    int layers() const { return layers_; }
    // Runs n images, planes of the network's size; the result becomes this thread's last one.
    std::shared_ptr<const Forward> predict(const float* x, int n);
    // The last forward pass of this thread, or else of any; throws Error(invalid_argument) when there was none.
    std::shared_ptr<const Forward> last() const;

private:
    void run(const float* x, int n, Forward& result);
    Network& with_batch(int batch);

    mutable std::mutex mutex_;
    std::map<int, Network> networks_;  // by batch; they share their weights
    Shape input_;
    int batch_, layers_;
    std::shared_ptr<const Forward> latest_;
};

// The device of the networks that this thread loads from now on: a GPU by number, -1: the CPU.
void choose_device(int device);
// Number of GPUs that can be used here.
int device_count();

}  // namespace dn::compat

// 656 bytes, as many as Darknet's: some clients copy the block. It is not a promise of its layout.
struct network {
    int n;                                      // layers
    int batch;                                  // images of network_predict_ptr()
    std::shared_ptr<dn::compat::State>* state;  // NULL once freed
    unsigned char unused[656 - 2 * sizeof(int) - sizeof(void*)];
};

namespace dn::compat {

// The state of a block; throws Error(invalid_argument) on NULL or a freed network.
std::shared_ptr<State> state_of(const network* net);

}  // namespace dn::compat
