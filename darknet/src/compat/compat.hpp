// SPDX-License-Identifier: Apache-2.0
// Shared by the files behind darknet_compat.h: the network block, its state, and images as the engine's planes.
#pragma once

#include <cstdlib>
#include <memory>

#include "api/capi.hpp"
#include "darknet_compat.h"

namespace dn::compat {

// Memory that a client frees with free(); throws bad_alloc. Never NULL, also for nothing.
template <class T>
T* allocate(std::size_t count) {
    void* block = std::calloc(count ? count : 1, sizeof(T));
    if (!block) throw std::bad_alloc();
    return static_cast<T*>(block);
}

struct Free {
    void operator()(void* block) const noexcept { std::free(block); }
};
template <class T>
using Block = std::unique_ptr<T, Free>;

// Runs the function; on any exception keeps the message for dn_last_error() and returns `failure`.
template <class Result, class Function>
Result or_else(Result failure, Function&& function) noexcept {
    Result result = failure;
    guarded([&] { result = function(); });
    return result;
}

// Planes of an image after checking it; throws Error(invalid_argument).
Shape checked(const image& im);
// An image with memory of its own, zero.
image new_image(int w, int h, int c);
// A decoded image file: RGB planes. Throws Error(io), or Error(invalid_argument) when the build has no decoder.
image decode_file(const char* path);
image decode_bytes(const std::uint8_t* bytes, std::size_t length);
bool can_decode();

}  // namespace dn::compat
