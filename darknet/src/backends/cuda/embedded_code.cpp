// SPDX-License-Identifier: Apache-2.0
#include "embedded_code.hpp"

namespace dn::cuda {
namespace {

bool runs(const EmbeddedCode& code, int arch, int driver) {
    constexpr int kTen = 10, kThousand = 1000;
    return code.arch / kTen == arch / kTen && code.arch <= arch && code.cuda / kThousand <= driver / kThousand;
}

}  // namespace

#if !defined(DN_EMBEDS_CODE)  // else cmake/embed_code.py writes it
const std::vector<EmbeddedCode>& embedded_codes() {
    static const std::vector<EmbeddedCode> none;
    return none;
}
#endif

const EmbeddedCode* find_code(const std::vector<EmbeddedCode>& codes, std::string_view program, int arch, int driver) {
    const EmbeddedCode* best = nullptr;
    for (const EmbeddedCode& code : codes)
        if (code.program == program && runs(code, arch, driver) && (!best || code.arch > best->arch)) best = &code;
    return best;
}

bool has_code(const std::vector<EmbeddedCode>& codes, int arch, int driver) {
    return !codes.empty() && find_code(codes, codes.front().program, arch, driver);
}

}  // namespace dn::cuda
