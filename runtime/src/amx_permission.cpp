// Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18 (AMX)
// and volume 2, CPUID leaf 7; Linux, Documentation/arch/x86/xstate.rst.
#include "amx_permission.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lrm {
namespace {

#if defined(__x86_64__)
bool processor_has_amx() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
  return (edx & amx_bf16) != 0 && (edx & amx_tile) != 0;
}

// XCR0: tile configuration (bit 17) and tile data (bit 18) are saved on a switch of threads.
bool system_saves_tiles() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return false;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  constexpr unsigned tiles = 3u << 17;
  return (eax & tiles) == tiles;
}

bool system_grants_tiles() {
#if defined(__linux__)
  constexpr int request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return true;  // nothing to ask for: Windows turns tiles on for a thread that first uses them
#endif
}
#endif

}  // namespace

bool amx_permitted() {
#if defined(__x86_64__)
  return processor_has_amx() && system_saves_tiles() && system_grants_tiles();
#else
  return false;
#endif
}

}  // namespace lrm
