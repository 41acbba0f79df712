// SPDX-License-Identifier: Apache-2.0
// From the host to the device, beside what the device computes.
#pragma once

#include <array>

#include "memory.hpp"

namespace dn::cuda {

// Memory of the device that the host fills again and again, on a stream of its own: the copy of the next values runs
// while the device computes, but for the part that reads those before.
class Upload {
public:
    Upload(const std::shared_ptr<Device>& device, std::size_t bytes);
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    std::size_t bytes() const { return device_values_.bytes(); }
    // Where the host writes the next values: page-locked memory of which there are two, in turns.
    void* host() const;
    // Begins to copy the first bytes of what was written there.
    void send(std::size_t bytes);
    // Calls read(), which enqueues on `stream` what reads the values that were sent last.
    template <class Read>
    void use(const Stream& stream, const Read& read) const {
        stream.wait_for(sent_[1 - turn_]);
        read(device_values_.get());
        used_.record(stream);
    }

private:
    static constexpr int kBuffers = 2;

    std::array<PinnedBuffer, kBuffers> values_;
    std::array<Event, kBuffers> sent_;  // what the host wrote is on the device
    DeviceBuffer device_values_;
    Event used_;     // and was read there
    int turn_ = 0;   // the buffer that the host may write
    Stream stream_;  // ends first, and waits for its work
};

}  // namespace dn::cuda
