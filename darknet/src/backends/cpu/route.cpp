// SPDX-License-Identifier: Apache-2.0
// [route]: copies what placement could not put there directly.
#include "cpu.hpp"
#include "layout.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

struct Copy {
    Tensor src, dst;
    int first;  // channel of src
};

class Route : public Kernel {
public:
    explicit Route(std::vector<Copy> copies) : copies_(std::move(copies)) {}
    void forward() override {
        for (const Copy& copy : copies_) copy_channels(copy.src, copy.first, copy.dst);
    }
    std::string what() const override { return "copy"; }

private:
    std::vector<Copy> copies_;
};

}  // namespace

std::unique_ptr<Kernel> make_route(const Context& context) {
    const auto& params = context.node.as<RouteParams>();
    std::vector<Copy> copies;
    int offset = 0;
    for (const Tensor& src : context.src) {
        const int count = src.shape.c / params.groups;
        Copy copy{src, context.dst, params.group_id * count};
        copy.dst.data = at(context.dst.data, context.dst.type, offset);
        copy.dst.shape.c = count;
        offset += count;
        const bool in_place = at(src.data, src.type, copy.first) == copy.dst.data && src.type == copy.dst.type;
        if (!in_place) copies.push_back(copy);
    }
    if (copies.empty()) return nullptr;
    return std::make_unique<Route>(std::move(copies));
}

}  // namespace dn::cpu
