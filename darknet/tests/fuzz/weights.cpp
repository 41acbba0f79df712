// SPDX-License-Identifier: Apache-2.0
// Any bytes as a weights file of a small network with every kind of array: refused with dn::Error, or read into
// arrays of exactly the sizes that the network asks for.
#include "weights.hpp"

#include <cstdint>
#include <cstdlib>

#include "error.hpp"
#include "memory_file.hpp"

namespace {

const char* kCfg = R"([net]
width=4
height=4
channels=2
[convolutional]
batch_normalize=1
filters=2
flipped=1
[convolutional]
filters=2
share_index=0
batch_normalize=1
[shortcut]
from=-2
weights_type=per_feature
weights_normalization=relu
[connected]
output=1
[implicit]
filters=1
atoms=2
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const dn::Graph graph = dn::build_graph(dn::parse_cfg(kCfg, "fuzz.cfg"), true);
    const MemoryFile file(data, size);
    try {
        dn::WeightsReport report;
        const auto parameters = dn::load_parameters(graph, file.path(), report);
        for (const dn::Node& node : graph.nodes)
            for (const dn::ArraySpec& array : node.arrays)
                if (parameters->nodes[node.index].array(array.role).size() != array.count) std::abort();
    } catch (const dn::Error&) {
    }
    return 0;
}
