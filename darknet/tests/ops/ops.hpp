// SPDX-License-Identifier: Apache-2.0
// The table of layer tests: a few sections, an input and what must come out, on every backend of this build.
#pragma once

#include <algorithm>
#include <functional>
#include <numeric>

#include "../support.hpp"
#include "../tolerances.hpp"

namespace dn::test {

struct Op {
    std::string sections;  // of a cfg, without [net]
    Shape input;
    Floats x;                                             // planes (n, c, h, w); n follows from the length
    std::function<void(Parameters&)> set = [](auto&) {};  // writes the weights
};

inline Graph graph_of(const std::string& sections, Shape input) {
    return graph_of(text("[net]\nwidth=", input.w, "\nheight=", input.h, "\nchannels=", input.c, "\n", sections));
}

// 0, 1, 2, ... or first, first + step, ...
inline Floats ramp(std::size_t count, float first = 0, float step = 1) {
    Floats values(count);
    for (std::size_t k = 0; k < count; ++k) values[k] = first + step * static_cast<float>(k);
    return values;
}

inline Floats run(const Op& op, const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                  const Backend& backend) {
    PlanOptions options;
    options.batch = static_cast<int>(op.x.size() / op.input.size());
    options.precision = Precision::f32;
    options.wanted = {static_cast<int>(graph.nodes.size()) - 1};
    const std::unique_ptr<Plan> plan = backend.compile(graph, parameters, options);
    std::copy(op.x.begin(), op.x.end(), plan->input());
    plan->forward();
    Floats found(options.batch * graph.nodes.back().out.size());
    plan->read(options.wanted[0], found.data());
    return found;
}

// Runs the op on every backend; the output of its last section must be `expected`.
inline void check_op(const Op& op, const Floats& expected, float tolerance = tolerance_of(Precision::f32).output) {
    const Graph graph = graph_of(op.sections, op.input);
    const std::shared_ptr<Parameters> parameters = initial_parameters(graph, 1);
    op.set(*parameters);
    for (const std::string& name : backend_names()) {
        CAPTURE(name);
        const Floats found = run(op, graph, parameters, *make_backend(name));
        REQUIRE(found.size() == expected.size());
        for (std::size_t k = 0; k < found.size(); ++k) {
            CAPTURE(k);
            CHECK(found[k] == doctest::Approx(expected[k]).epsilon(tolerance));
        }
    }
}

inline Shape output_shape(const std::string& sections, Shape input) {
    return graph_of(sections, input).nodes.back().out;
}

inline std::string cfg_error(const std::string& sections, Shape input) {
    return error_of(Status::cfg, [&] { graph_of(sections, input); });
}

}  // namespace dn::test
