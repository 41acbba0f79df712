// SPDX-License-Identifier: Apache-2.0
// The loss of [region] in front of its loops over boxes and truths (region_rules.cuh), which run on the host or on a
// device.
#pragma once

#include "region_rules.cuh"
#include "truths.hpp"

namespace dn {

LossTables region_tables(const RegionParams& params);
// With these tables, without output and delta.
RegionHead region_head(const Node& node, const float* floats, const int* ints);
// Whether every box is also drawn to its anchor. seen: images trained on.
bool region_warms_up(std::uint64_t seen);

LossReport region_report(const AssignmentSums& sums, double all);

}  // namespace dn
