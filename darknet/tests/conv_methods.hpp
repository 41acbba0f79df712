// SPDX-License-Identifier: Apache-2.0
// Convolutions by a method of the cpu backend, and by ref.
#pragma once

#include "winograd.hpp"

namespace dn::test {

inline std::string conv(int filters, const std::string& activation, const std::string& more = "") {
    return text("[convolutional]\nbatch_normalize=1\nsize=3\npad=1\nfilters=", filters, "\nactivation=", activation,
                "\n", more);
}

struct ConvCase {
    std::string sections;
    Shape input;
    int images = 1;
};

// Inputs and weights of both signs, biases and statistics of each channel its own.
inline Floats output_of(const std::string& backend, const ConvCase& net, ConvMethod method, int threads,
                        std::string* what) {
    const Graph graph = graph_of(net.sections, net.input);
    const auto parameters = initial_parameters(graph, 1);
    unsigned seed = 3;
    for (NodeParameters& node : parameters->nodes)
        for (Floats* array : {&node.biases, &node.means}) *array = random_floats(array->size(), ++seed);
    PlanOptions options;
    options.batch = net.images;
    options.threads = threads;
    options.precision = Precision::f32;
    options.convolutions = method;
    const int last = static_cast<int>(graph.nodes.size()) - 1;
    options.wanted = {last};
    const auto plan = make_backend(backend)->compile(graph, parameters, options);
    const Floats x = random_floats(net.images * net.input.size(), 11);
    std::copy(x.begin(), x.end(), plan->input());
    plan->forward();
    Floats y(net.images * graph.nodes[last].out.size());
    plan->read(last, y.data());
    if (what)
        for (const LayerTime& time : plan->profile()) *what += time.what + " ";
    return y;
}

}  // namespace dn::test
