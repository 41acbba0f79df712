// SPDX-License-Identifier: Apache-2.0
#include "compat/handle.hpp"

#include <algorithm>
#include <thread>
#include <unordered_map>

#include "backends/registry.hpp"

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace dn::compat {
namespace {

static_assert(sizeof(network) == 656 && std::is_standard_layout_v<network>, "the block has Darknet's size");

// This thread's last forward pass on each network. Entries of networks that are gone leave with the next new one.
class LastForwards {
public:
    void set(const std::shared_ptr<const Forward>& forward, const State* state) {
        if (forwards_.find(state) == forwards_.end())
            for (auto it = forwards_.begin(); it != forwards_.end();)
                it = it->second->owner.expired() ? forwards_.erase(it) : std::next(it);
        forwards_[state] = forward;
    }
    std::shared_ptr<const Forward> get(const State* state) const {
        const auto found = forwards_.find(state);
        // A new network may lie where a freed one was.
        if (found == forwards_.end() || found->second->owner.lock().get() != state) return nullptr;
        return found->second;
    }

private:
    std::unordered_map<const State*, std::shared_ptr<const Forward>> forwards_;
};

LastForwards& last_forwards() {
    static thread_local LastForwards forwards;
    return forwards;
}

#if defined(_WIN32)
bool forked() { return false; }
#else
const pid_t loaded_by = getpid();
bool forked() { return getpid() != loaded_by; }
#endif

// OpenMP's workers do not survive fork(), and the thread that forked would wait for them for ever. A new thread
// makes its own.
template <class Function>
void compute(Function&& function) {
    if (!forked()) return function();
    std::exception_ptr failure;
    std::thread worker([&] {
        try {
            function();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    worker.join();
    if (failure) std::rethrow_exception(failure);
}

constexpr int kUndecided = -2;

int& chosen_device() {
    static thread_local int device = kUndecided;
    return device;
}

bool is_available(const std::string& backend, int device) {
    std::string why;
    for (const BackendEntry& entry : backend_table())
        if (entry.name == backend) return entry.available(device, &why);
    return false;
}

// A GPU that is not there is no error: Darknet's scripts choose number 0 whatever the machine has.
std::string chosen_backend() {
    const int device = chosen_device();
    if (device == kUndecided) return "auto";
    if (device >= 0) return is_available("cuda", device) ? text("cuda:", device) : "auto";
    return is_available("cpu", 0) ? "cpu" : "ref";
}

NetworkOptions options(int batch) {
    NetworkOptions chosen;
    chosen.backend = chosen_backend();
    chosen.precision = Precision::f32;
    chosen.batch = batch;
    chosen.strict = false;
    return chosen;
}

}  // namespace

int device_count() {
    int count = 0;
    while (is_available("cuda", count)) ++count;
    return count;
}

void choose_device(int device) { chosen_device() = std::max(device, -1); }

std::vector<Candidate> Forward::decode(int item, const DecodeOptions& options) const {
    std::vector<Candidate> found;
    const std::vector<int> layers = graph->heads();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Node& head = graph->nodes[layers[i]];
        decode_head(head, heads[i].data() + item * head.out.size(), graph->input, options, found);
    }
    return found;
}

State::State(const char* cfg, const char* weights, int batch) {
    Network first(read_cfg(&need(cfg, "cfg")), weights ? weights : "", options(std::max(1, batch)));
    input_ = first.graph().input;
    layers_ = static_cast<int>(first.graph().nodes.size());
    const NetParams& net = first.graph().net;
    batch_ = batch > 0 ? batch : std::max(1, net.batch / net.subdivisions);
    networks_.emplace(std::max(1, batch), first);
}

Network& State::with_batch(int batch) {
    const auto found = networks_.find(batch);
    if (found != networks_.end()) return found->second;
    Network& network = networks_.emplace(batch, networks_.begin()->second).first->second;
    network.set_batch(batch);
    return network;
}

void State::run(const float* x, int n, Forward& result) {
    Network& network = with_batch(n);
    result.graph = network.shared_graph();
    const std::vector<int> heads = result.graph->heads();
    const int last = result.graph->output_node();
    std::vector<int> wanted = heads;
    wanted.push_back(last);
    network.predict(x, n, wanted);
    const auto read = [&](int layer) {
        Floats values(result.graph->nodes[layer].out.size() * n);
        network.read(layer, values.data(), values.size());
        return values;
    };
    for (const int head : heads) result.heads.push_back(read(head));
    result.output = read(last);
}

std::shared_ptr<const Forward> State::predict(const float* x, int n) {
    auto result = std::make_shared<Forward>();
    result->owner = weak_from_this();
    const std::lock_guard<std::mutex> lock(mutex_);
    compute([&] { run(x, n, *result); });
    last_forwards().set(result, this);
    latest_ = result;
    return result;
}

std::shared_ptr<const Forward> State::last() const {
    if (auto own = last_forwards().get(this)) return own;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!latest_) throw Error(Status::invalid_argument, "", "no prediction yet; run one before reading its boxes");
    return latest_;
}

std::shared_ptr<State> state_of(const network* net) {
    if (!net) throw Error(Status::invalid_argument, "", "the network is NULL");
    if (!net->state) throw Error(Status::invalid_argument, "", "the network was freed");
    return *net->state;
}

}  // namespace dn::compat
