// Whether this machine can run the library. Built for any x86-64, unlike the rest: it is asked before that is known, so
// nothing here may be shared with files that are built for more.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi.h"

int32_t hardtack_abi(void) { return HARDTACK_ABI; }

#ifdef HARDTACK_DOUBLE

int32_t hardtack_is_double(void) { return 1; }
const char* hardtack_cpu_lacks(void) { return nullptr; }

#else

int32_t hardtack_is_double(void) { return 0; }

namespace {

constexpr unsigned kBf16Tiles = 1u << 22, kTiles = 1u << 24;  // CPUID 7.0, EDX

}  // namespace

const char* hardtack_cpu_lacks(void) {
  __builtin_cpu_init();
  // these look at what the operating system saves as well
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("fma"))
    return "the CPU has no AVX-512";
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kTiles) == 0) return "the CPU has no AMX";
  if ((edx & kBf16Tiles) == 0) return "the CPU's AMX does not multiply bf16";
  return nullptr;
}

#endif

const char* hardtack_permission_lacks(void) {
#ifdef HARDTACK_DOUBLE
  return nullptr;
#else
  // https://docs.kernel.org/arch/x86/xstate.html: Linux 5.16 and later; once for the whole process
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0)
    return "the kernel does not let this process use AMX tiles (Linux 5.16 or later does, unless it is told not to)";
  return nullptr;
#endif
}
