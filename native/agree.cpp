// Whether the tiles of this CPU multiply as they are said to: asked once, before anything is answered with them.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "abi.h"
#include "dot_in_plain.h"
#include "tiles.h"

namespace hardtack {
namespace {

struct Operand {
  alignas(64) std::uint8_t byte[kTileBytes];
};

/// bf16 between 1 and 2, of either sign, that look like chance.
void fill(Operand& tile, std::uint32_t seed) {
  for (int i = 0; i < kTileBytes; i += 2) {
    seed = seed * 1664525u + 1013904223u;
    const auto bits = static_cast<std::uint16_t>((seed >> 16 & 0x807fu) | 0x3f80u);
    std::memcpy(tile.byte + i, &bits, sizeof bits);
  }
}

/// A product by tiles and the same in plain C++. Sums of 64 products of less than 4: 1e-3 is far past rounding.
template <int c, int a, int b>
bool agrees(std::uint32_t seed) {
  Operand left, right, plain{}, wide[2] = {};
  fill(left, seed);
  fill(right, seed + 1);
  {
    const tiles::Session session;
    tiles::zero<c>();
    tiles::load<a>(left.byte);
    tiles::load_streaming<b>(right.byte);
    tiles::dot<c, a, b>();
    tiles::store<c>(wide[0].byte, 2 * kRowBytes);
    tiles::load<c>(wide[0].byte, 2 * kRowBytes);
    tiles::dot<c, a, b>();
    tiles::store<c>(wide[0].byte, 2 * kRowBytes);
  }
  dot_in_plain(left.byte, right.byte, plain.byte);
  dot_in_plain(left.byte, right.byte, plain.byte);
  for (int row = 0; row < kTileRows; ++row)
    for (int column = 0; column < kTileRows; ++column) {
      float made, due;
      std::memcpy(&made, wide[0].byte + row * 2 * kRowBytes + column * sizeof made, sizeof made);
      std::memcpy(&due, plain.byte + row * kRowBytes + column * sizeof due, sizeof due);
      if (!(std::fabs(made - due) <= 1e-3f)) return false;
    }
  return true;
}

}  // namespace
}  // namespace hardtack

int32_t hardtack_tiles_agree(void) {
  using hardtack::agrees;
  return agrees<0, 4, 6>(1) && agrees<1, 4, 7>(2) && agrees<2, 5, 6>(3) && agrees<3, 5, 7>(4);
}
