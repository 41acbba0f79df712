// SPDX-License-Identifier: Apache-2.0
#include "truths.hpp"

namespace dn {

std::vector<TruthBox> truths_of(const Truths& truths, int image, int classes) {
    std::vector<TruthBox> found;
    const float* row = truths.of(image);
    for (std::size_t i = 0; i + kTruthRow <= truths.stride && row[i] != 0; i += kTruthRow) {
        const float id = row[i + 4];
        if (!(id >= 0 && id < static_cast<float>(classes))) continue;  // also skips NaN
        found.push_back({{row[i], row[i + 1], row[i + 2], row[i + 3]}, static_cast<int>(id)});
    }
    return found;
}

}  // namespace dn
