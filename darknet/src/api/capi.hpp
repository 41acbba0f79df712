// SPDX-License-Identifier: Apache-2.0
// Shared by the files behind darknet.h: the one catch of the engine, argument checks, the network handle.
#pragma once

#include <new>
#include <string>
#include <vector>

#include "../error.hpp"
#include "../layers/layer.hpp"
#include "../network.hpp"
#include "darknet.h"

struct dn_network {
    dn::Network net;
    std::vector<std::string> descriptions;  // one per layer, for dn_layer_info
    std::vector<dn::LayerTime> times;       // strings of the last profile

    explicit dn_network(const dn::Network& network) : net(network) { describe(); }
    void describe() {
        descriptions.clear();
        for (const dn::Node& node : net.graph().nodes) {
            const auto describe = dn::layer_def(node.kind).describe;
            descriptions.push_back(describe ? describe(node) : "");
        }
    }
};

namespace dn {

// Keeps the message for dn_last_error() and returns the status.
dn_status fail(Status status, const char* message) noexcept;

// Runs the function; every exception becomes a status and a message.
template <class Function>
dn_status guarded(Function&& function) noexcept {
    try {
        function();
        return DN_OK;
    } catch (const Error& error) {
        return fail(error.status(), error.what());
    } catch (const std::bad_alloc&) {
        return fail(Status::out_of_memory, "out of memory; try a smaller batch or input size");
    } catch (const std::exception& error) {
        return fail(Status::internal, error.what());
    } catch (...) {
        return fail(Status::internal, "unknown exception");
    }
}

template <class T>
T& need(T* pointer, const char* name) {
    if (!pointer) throw Error(Status::invalid_argument, "", text(name, " is NULL"));
    return *pointer;
}

}  // namespace dn
