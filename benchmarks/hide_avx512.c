/* SPDX-License-Identifier: Apache-2.0
 * A library for LD_PRELOAD that hides AVX-512 and AMX from all libraries that a process loads after it, so that every
 * runtime computes as on a processor that ends with AVX2 (the C library has chosen its own routines before). CPUID faults (arch_prctl(2), ARCH_SET_CPUID), and the handler answers in its place.
 * Processes in which that is not possible end with a message. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { set_cpuid = 0x1012 };

/* Of leaf 7, sub-leaf 0: AVX512 F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS,
 * VP2INTERSECT, AMX-BF16, AVX512-FP16, AMX-TILE, AMX-INT8. Of sub-leaf 1: AVX512-BF16, AMX-FP16; AVX10. */
static const unsigned ebx_hidden = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31;
static const unsigned ecx_hidden = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const unsigned edx_hidden = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const unsigned eax_hidden = 1u << 5 | 1u << 21;
static const unsigned avx10 = 1u << 19;

static void answer(int signal, siginfo_t* info, void* context) {
    (void)info;
    greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
    const unsigned char* instruction = (const unsigned char*)r[REG_RIP];
    if (instruction[0] != 0x0f || instruction[1] != 0xa2) { /* a real segmentation fault */
        struct sigaction fall = {.sa_handler = SIG_DFL};
        sigaction(signal, &fall, NULL);
        return;
    }
    const unsigned leaf = (unsigned)r[REG_RAX], sub = (unsigned)r[REG_RCX];
    unsigned eax, ebx, ecx, edx;
    syscall(SYS_arch_prctl, set_cpuid, 1);
    __cpuid_count(leaf, sub, eax, ebx, ecx, edx);
    syscall(SYS_arch_prctl, set_cpuid, 0);
    if (leaf == 7 && sub == 0) {
        ebx &= ~ebx_hidden;
        ecx &= ~ecx_hidden;
        edx &= ~edx_hidden;
    } else if (leaf == 7 && sub == 1) {
        eax &= ~eax_hidden;
        edx &= ~avx10;
    }
    r[REG_RAX] = eax;
    r[REG_RBX] = ebx;
    r[REG_RCX] = ecx;
    r[REG_RDX] = edx;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSEGV, &action, NULL) != 0 || syscall(SYS_arch_prctl, set_cpuid, 0) != 0) {
        fputs("this processor or its hypervisor cannot intercept CPUID\n", stderr);
        _exit(3);
    }
}
