// SPDX-License-Identifier: Apache-2.0
// Any bytes as a class tree: refused with dn::Error, or groups that cover every class once, parents before children.
#include <cstdint>
#include <cstdlib>

#include "error.hpp"
#include "layers/layer.hpp"
#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const MemoryFile file(data, size);
    try {
        const dn::Tree tree = dn::read_tree(file.path(), "fuzz");
        int next = 0;
        for (std::size_t g = 0; g < tree.group_size.size(); ++g) {
            if (tree.group_offset.at(g) != next) std::abort();
            next += tree.group_size[g];
        }
        if (next != static_cast<int>(tree.parent.size())) std::abort();
        for (int c = 0; c < next; ++c)
            if (tree.parent[c] < -1 || tree.parent[c] >= c) std::abort();
    } catch (const dn::Error&) {
    }
    return 0;
}
