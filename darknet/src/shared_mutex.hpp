// SPDX-License-Identifier: Apache-2.0
// A lock of many readers or one writer, fair to the writer: std::shared_mutex may let an unbroken chain of readers keep
// a writer waiting for ever.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace dn {

// Works with std::lock_guard and std::shared_lock. A thread that holds it shared must not lock it again.
class FairSharedMutex {
public:
    void lock() {
        const std::lock_guard<std::mutex> turn(turn_);  // readers who come later wait here
        mutex_.lock();
    }
    void unlock() { mutex_.unlock(); }
    void lock_shared() {
        const std::lock_guard<std::mutex> turn(turn_);
        mutex_.lock_shared();
    }
    void unlock_shared() { mutex_.unlock_shared(); }

private:
    std::mutex turn_;
    std::shared_mutex mutex_;
};

}  // namespace dn
