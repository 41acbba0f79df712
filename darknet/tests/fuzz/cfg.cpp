// SPDX-License-Identifier: Apache-2.0
// Any bytes as a cfg: it is refused with dn::Error, or it is a network whose shapes and file layout can be walked.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "error.hpp"
#include "graph.hpp"
#include "weights_layout.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const dn::Cfg cfg = dn::parse_cfg({reinterpret_cast<const char*>(data), size}, "fuzz.cfg");
        dn::Graph graph = dn::build_graph(cfg, false);
        (void)dn::layout_to_read(graph);
        dn::resize_graph(graph, 2 * graph.input.w, graph.input.h);
    } catch (const dn::Error&) {
    }
    return 0;
}
