// The product of two tiles in plain C++: the double's only arithmetic, and what real tiles are compared with before they
// are trusted.
//
// Semantics are those of Intel's manual (Software Developer's Manual, volume 2, TDPBF16PS): even and odd k are summed
// apart, from zero, and their sum is added to C at the end; rounding is to nearest; denormals count as zero in what is
// read and in what is written, whatever MXCSR says. Where the CPU has no fused multiply-add the product is rounded by
// itself, which differs only below 2⁻¹²⁶: the product of two bf16 is exact in f32.
#pragma once

#include <xmmintrin.h>

#include <cstdint>

#include "tile.h"
#include "vectors.h"

namespace hardtack {

/// Denormals as zeros in and out while one of these lives.
class NoDenormals {
 public:
  NoDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~NoDenormals() { _mm_setcsr(before_); }
  NoDenormals(const NoDenormals&) = delete;
  NoDenormals& operator=(const NoDenormals&) = delete;

 private:
  unsigned before_;
};

/// The sums alone. Not inlined: a compiler may move arithmetic past what sets MXCSR, but no call.
[[gnu::noinline]] inline void add_products(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* c) {
  f32x16 even_b[kTileRows], odd_b[kTileRows];
  for (int pair = 0; pair < kTileRows; ++pair) {
    const auto both = load<u32x16>(b + pair * kRowBytes);
    even_b[pair] = reinterpret_cast<f32x16>(both << 16);
    odd_b[pair] = reinterpret_cast<f32x16>(both & 0xffff0000u);
  }
  for (int row = 0; row < kTileRows; ++row) {
    const auto both = load<u32x16>(a + row * kRowBytes);
    const auto even_a = reinterpret_cast<f32x16>(both << 16), odd_a = reinterpret_cast<f32x16>(both & 0xffff0000u);
    f32x16 even{}, odd{};
    for (int pair = 0; pair < kTileRows; ++pair) {
      even = even_b[pair] * even_a[pair] + even;
      odd = odd_b[pair] * odd_a[pair] + odd;
    }
    store(c + row * kRowBytes, load<f32x16>(c + row * kRowBytes) + (even + odd));
  }
}

/// c += a · b, each a tile of 1 KB as tiles.h draws them.
inline void dot_in_plain(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* c) {
  const NoDenormals here;
  add_products(a, b, c);
}

}  // namespace hardtack
