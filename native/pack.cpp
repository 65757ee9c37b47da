// Weights from f32 to tiles, once for each model: tiling.py says the same in numpy, and a test holds the two together.
#include <cstdint>

#include "abi.h"
#include "panels.h"
#include "tile.h"
#include "vectors.h"

using namespace hardtack;

void hardtack_round(const float* from, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; i += kLanes) store(to + i, to_bf16(load<f32x16>(from + i)));
}

void hardtack_tile(const float* from, int32_t outputs, int32_t inputs, uint16_t* to) {
  char* tile = reinterpret_cast<char*>(to);
  for (int32_t block = 0; block < outputs; block += kWide)
    for (int32_t input = 0; input < inputs; input += kWide)
      for (int32_t output = block; output < block + kWide; output += kTileRows, tile += kTileBytes) {
        u32x16 row[kTileRows];  // a line of 16 pairs of inputs for each output; transposed, a line of 16 outputs a pair
        for (int i = 0; i < kTileRows; ++i) {
          const float* line = from + static_cast<std::int64_t>(output + i) * inputs + input;
          u16x16 halves[2] = {to_bf16(load<f32x16>(line)), to_bf16(load<f32x16>(line + kLanes))};
          row[i] = load<u32x16>(halves);
        }
        transpose(row);
        for (int i = 0; i < kTileRows; ++i) store(tile + i * kRowBytes, row[i]);
      }
}
