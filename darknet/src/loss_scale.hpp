// SPDX-License-Identifier: Apache-2.0
// The factor that gradients have in float16, where small ones would be 0. It grows while they are finite, and is halved
// when one is not.
#pragma once

#include <algorithm>

namespace dn {

class LossScale {
public:
    static constexpr float kStart = 1 << 15;
    static constexpr float kLargest = 1 << 24;
    static constexpr int kUpdates = 2000;  // with finite gradients, after which it is doubled

    static bool is_valid(float factor, int good) {
        return factor >= 1 && factor <= kLargest && good >= 0 && good < kUpdates;
    }

    explicit LossScale(float factor = kStart, int good = 0) : factor_(factor), good_(good) {}

    float factor() const { return factor_; }
    int good() const { return good_; }  // updates since it changed
    // Gradients that overflow at a factor of 1 would do so without it.
    bool may_halve() const { return factor_ > 1; }

    void halve() { *this = LossScale(std::max(1.f, factor_ / 2)); }
    void count_update() {
        if (++good_ < kUpdates) return;
        *this = LossScale(std::min(2 * factor_, kLargest));
    }

private:
    float factor_;
    int good_;
};

}  // namespace dn
