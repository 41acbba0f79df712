// SPDX-License-Identifier: Apache-2.0
// The factor of a loss's gradients in float16, in which small ones would be 0: as large as they stay finite.
#pragma once

namespace dn {

class LossScale {
public:
    static constexpr float kStart = 1 << 15;
    static constexpr int kUpdates = 2000;  // with finite gradients, after which it is doubled

    explicit LossScale(float factor = kStart, int good = 0) : factor_(factor), good_(good) {}

    float factor() const { return factor_; }
    int good() const { return good_; }  // updates since it changed
    // Gradients that overflow at a factor of 1 would do so without it.
    bool may_halve() const { return factor_ > 1; }

    void halve() { *this = LossScale(factor_ / 2); }
    void count_update() {
        if (++good_ < kUpdates) return;
        *this = LossScale(factor_ < kLargest ? 2 * factor_ : factor_);
    }

private:
    static constexpr float kLargest = 1 << 24;

    float factor_;
    int good_;
};

}  // namespace dn
