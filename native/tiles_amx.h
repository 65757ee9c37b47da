// The tile instructions themselves.
//
// Written as assembly and not with <immintrin.h>: GCC's macros put the register's number into text, so that it cannot be
// a template's argument, and do not tell the compiler that they read memory
// (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=99563 and its kin), so that stores may move past them.
#pragma once

#include <cstdint>

#include "tile.h"

namespace hardtack::tiles {

/// Intel's layout of TILECFG for palette 1.
struct alignas(64) Config {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(Config) == 64);

/// A thread may use tiles while one of these lives. Giving them back spares the kernel 8 KB at each change of threads.
class Session {
 public:
  Session() {
    Config config;
    for (int tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = kRowBytes;
      config.rows[tile] = kTileRows;
    }
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  ~Session() { asm volatile("tilerelease" ::: "memory"); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

template <int tile>
inline void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(tile));
}

template <int tile>
inline void load(const void* from, long stride = kRowBytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}

/// The same with a hint that the lines are not needed again soon.
template <int tile>
inline void load_streaming(const void* from, long stride = kRowBytes) {
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}

template <int tile>
inline void store(void* to, long stride = kRowBytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}

template <int c, int a, int b>
inline void dot() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}

}  // namespace hardtack::tiles
