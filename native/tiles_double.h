// Every tile instruction once more in plain C++: what tests run where no AMX is.
#pragma once

#include <cstdint>
#include <cstring>

#include "dot_in_plain.h"
#include "tile.h"

namespace hardtack::tiles {

struct Tile {
  alignas(64) std::uint8_t byte[kTileBytes];
};

inline Tile& tile(int number) {
  thread_local Tile tiles[8];
  return tiles[number];
}

/// As with the instructions, tiles hold nothing before one of these lives.
class Session {
 public:
  Session() {
    for (int number = 0; number < 8; ++number) tile(number) = {};
  }
};

template <int number>
inline void zero() {
  tile(number) = {};
}

template <int number>
inline void load(const void* from, long stride = kRowBytes) {
  for (int row = 0; row < kTileRows; ++row)
    std::memcpy(tile(number).byte + row * kRowBytes, static_cast<const char*>(from) + row * stride, kRowBytes);
}

template <int number>
inline void load_streaming(const void* from, long stride = kRowBytes) {
  load<number>(from, stride);
}

template <int number>
inline void store(void* to, long stride = kRowBytes) {
  for (int row = 0; row < kTileRows; ++row)
    std::memcpy(static_cast<char*>(to) + row * stride, tile(number).byte + row * kRowBytes, kRowBytes);
}

template <int c, int a, int b>
inline void dot() {
  dot_in_plain(tile(a).byte, tile(b).byte, tile(c).byte);
}

}  // namespace hardtack::tiles
