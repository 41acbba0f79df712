// SPDX-License-Identifier: Apache-2.0
// Which sanitizer this is compiled with: DN_ASAN, DN_TSAN.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DN_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define DN_TSAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DN_ASAN
#endif
#if defined(__SANITIZE_THREAD__)
#define DN_TSAN
#endif
