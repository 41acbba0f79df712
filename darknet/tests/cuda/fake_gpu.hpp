// SPDX-License-Identifier: Apache-2.0
// The cuda backend on the libraries for tests (fakes/).
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "backends/cuda/cuda.hpp"
#include "backends/cuda/device.hpp"

namespace dn::test {

// The GPU of the fake driver; back as it was at the end of a test.
class FakeGpu {
public:
    FakeGpu() : library_(dlopen(DN_FAKES "/libcuda.so.1", RTLD_NOW)) {
        setenv("XDG_CACHE_HOME", DN_FAKES "/cache", 1);
        reset();
    }
    ~FakeGpu() { reset(); }
    FakeGpu(const FakeGpu&) = delete;
    FakeGpu& operator=(const FakeGpu&) = delete;

    void set(const char* name, long long value) const {
        reinterpret_cast<void (*)(const char*, long long)>(dlsym(library_, "fake_set"))(name, value);
    }
    long long count(const char* name) const {
        return reinterpret_cast<long long (*)(const char*)>(dlsym(library_, "fake_count"))(name);
    }
    static std::shared_ptr<const cuda::Libraries> libraries() { return cuda::open_libraries({DN_FAKES}); }
    static std::unique_ptr<Backend> backend() { return cuda::make_backend(libraries(), 0); }
    static std::string why_not(int device = 0) {
        std::string why;
        cuda::is_available(*libraries(), device, &why);
        return why;
    }

private:
    void reset() const {
        set("devices", 1);
        set("arch", 75);
        set("driver", 12040);
        set("memory", 1LL << 31);
        set("dnn", 91002);
        set("nccl", 22703);
        set("nccl_fail", 0);
        set("schedule", 2);
        set("compile_error", 0);
        set("slow_engine", -1);
        set("engines", 99);
        set("fail", 0);
        set("refuse_capture", 0);
        set("eager_copies", 0);
    }
    void* library_;
};

}  // namespace dn::test
