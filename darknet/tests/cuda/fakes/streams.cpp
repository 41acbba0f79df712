// SPDX-License-Identifier: Apache-2.0
// Streams, events and graphs of the fake driver.
#include <algorithm>
#include <cstdio>

#include "gpu.hpp"

namespace dn::fakes {

using namespace cuda::abi;

namespace {

template <class T>
void erase(std::set<std::unique_ptr<T>>& owners, const void* owned) {
    for (auto entry = owners.begin(); entry != owners.end(); ++entry)
        if (entry->get() == owned) {
            owners.erase(entry);
            return;
        }
}

template <class T, class Handle>
int give(std::set<std::unique_ptr<T>>& owners, T value, Handle** handle) {
    auto made = std::make_unique<T>(std::move(value));
    *handle = reinterpret_cast<Handle*>(made.get());
    owners.insert(std::move(made));
    return kSuccess;
}

// Until what stands in front of a place in a stream is done; work of another stream may wait for it.
int run_until(Stream* stream, long long place) {
    for (const auto& living : state().streams)
        if (living.get() == stream && place > stream->done) return run(*stream, place - stream->done);
    return state().broken;
}

}  // namespace

int run(Stream& stream, long long count) {
    State& now = state();
    while (!stream.work.empty() && !now.broken && count-- != 0) {
        const std::function<void()> work = std::move(stream.work.front());
        stream.work.pop_front();
        try {
            work();
        } catch (const NotReady&) {
            stream.work.push_front(work);
            return kNotReady;
        } catch (const std::exception& error) {
            std::fprintf(stderr, "fake GPU: %s\n", error.what());
            now.broken = kIllegalAddress;
        }
        ++stream.done;
    }
    for (const auto& [start, block] : now.blocks)
        if (!block.intact(start)) now.broken = kIllegalAddress;
    long long& fail = world().settings["fail"];
    if (fail) now.broken = static_cast<int>(fail);
    fail = 0;
    return now.broken;
}

bool captures() {
    bool any = false;
    for (const auto& stream : state().streams) {
        const bool watches = stream->capturing && stream->capturer == std::this_thread::get_id();
        stream->refused |= watches;
        any |= watches;
    }
    return any;
}

int run_all() {
    for (const auto& stream : state().streams) run(*stream);
    return state().broken;
}

void enqueue(StreamHandle* stream, std::function<void()> work) {
    Stream& to = *of(stream);
    (to.capturing ? to.captured : to.work).push_back(std::move(work));
    if (setting("eager_copies") && !to.computes && !to.capturing) run(to);
}

}  // namespace dn::fakes

using namespace dn::fakes;
using namespace dn::cuda::abi;

DN_FAKE int cuStreamCreate(StreamHandle** stream, unsigned) {
    DN_LOCKED;
    return give(state().streams, Stream{}, stream);
}
DN_FAKE int cuStreamDestroy_v2(StreamHandle* stream) {
    DN_LOCKED;
    erase(state().streams, of(stream));
    return kSuccess;
}
DN_FAKE int cuStreamQuery(StreamHandle* stream) {
    DN_LOCKED;
    if (captures()) return kCaptureUnsupported;
    return run(*of(stream));
}
DN_FAKE int cuStreamSynchronize(StreamHandle* stream) {
    {
        DN_LOCKED;
        ++world().counts["synchronize"];
    }
    int result = cuStreamQuery(stream);
    for (; result == kNotReady; result = cuStreamQuery(stream)) std::this_thread::yield();
    return result;
}
DN_FAKE int cuEventCreate(EventHandle** event, unsigned flags) {
    DN_LOCKED;
    Event made;
    made.timed = !(flags & kEventDisableTiming);
    return give(state().events, std::move(made), event);
}
DN_FAKE int cuEventDestroy_v2(EventHandle* event) {
    DN_LOCKED;
    erase(state().events, event);
    return kSuccess;
}
DN_FAKE int cuEventRecord(EventHandle* event, StreamHandle* stream) {
    DN_LOCKED;
    Event& point = *reinterpret_cast<Event*>(event);
    point.stream = of(stream);
    enqueue(stream, [time = point.microseconds] { *time = world().counts["microseconds"]; });
    point.place = of(stream)->place();
    return state().broken;
}
DN_FAKE int cuEventSynchronize(EventHandle* event) {
    DN_LOCKED;
    const Event& point = *reinterpret_cast<Event*>(event);
    if (captures()) return kCaptureUnsupported;
    return run_until(point.stream, point.place);
}
DN_FAKE int cuStreamWaitEvent(StreamHandle* stream, EventHandle* event, unsigned) {
    DN_LOCKED;
    const Event& point = *reinterpret_cast<Event*>(event);
    enqueue(stream, [from = point.stream, place = point.place] {
        if (run_until(from, place) == kNotReady) throw NotReady();
    });
    return state().broken;
}
DN_FAKE int cuEventElapsedTime(float* milliseconds, EventHandle* first, EventHandle* last) {
    DN_LOCKED;
    const Event *begin = reinterpret_cast<Event*>(first), *end = reinterpret_cast<Event*>(last);
    if (!begin->timed || !end->timed) return kInvalidValue;
    *milliseconds = static_cast<float>(*end->microseconds - *begin->microseconds) / 1000;
    return kSuccess;
}

DN_FAKE int cuStreamBeginCapture_v2(StreamHandle* stream, int) {
    DN_LOCKED;
    of(stream)->capturing = true;
    of(stream)->capturer = std::this_thread::get_id();
    of(stream)->refused = false;
    return state().broken;
}
DN_FAKE int cuStreamEndCapture(StreamHandle* stream, GraphHandle** graph) {
    DN_LOCKED;
    Work captured = std::move(of(stream)->captured);
    of(stream)->captured.clear();
    of(stream)->capturing = false;
    *graph = nullptr;
    if (of(stream)->refused || world().settings["refuse_capture"]) return kCaptureUnsupported;
    return give(state().graphs, std::move(captured), graph);
}
DN_FAKE int cuGraphInstantiateWithFlags(GraphExecHandle** executable, GraphHandle* graph, unsigned long long) {
    DN_LOCKED;
    ++world().counts["graphs"];
    return give(state().graphs, *reinterpret_cast<Work*>(graph), executable);
}
DN_FAKE int cuGraphLaunch(GraphExecHandle* executable, StreamHandle* stream) {
    DN_LOCKED;
    ++world().counts["graph_launches"];
    for (const std::function<void()>& work : *reinterpret_cast<Work*>(executable)) enqueue(stream, work);
    return state().broken;
}
DN_FAKE int cuGraphExecDestroy(GraphExecHandle* executable) {
    DN_LOCKED;
    erase(state().graphs, executable);
    return kSuccess;
}
DN_FAKE int cuGraphDestroy(GraphHandle* graph) {
    DN_LOCKED;
    erase(state().graphs, graph);
    return kSuccess;
}
