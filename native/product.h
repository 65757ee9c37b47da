// Activations times weights, in blocks of 32 tokens × 32 outputs: four tiles of sums, two of tokens, two of weights.
//
//                      weights       tmm6    tmm7            so that four loads of 16 lines feed four products
//                                    32 k × 16 outputs
//     activations
//     tmm4  16 tokens × 32 k         tmm0    tmm1
//     tmm5  16 tokens × 32 k         tmm2    tmm3
//
// Weights lie in the order in which they are read: for each 32 outputs, for each 32 inputs, two tiles. Within one block
// of outputs they stay in the first cache for all tokens, while the tokens come from the second.
//
// The vector unit would stand still while tiles multiply, and the tiles while sums are made into activations. So what is
// done with a block's sums is done line by line between the products of the next block.
#pragma once

#include <cstdint>

#include "panels.h"
#include "tiles.h"
#include "vectors.h"

namespace hardtack {

/// A matrix of inputs × outputs as tiles; both are multiples of 32.
struct Weights {
  const char* tiles = nullptr;
  int inputs = 0;
  int outputs = 0;

  /// The pair of tiles for a block of outputs and a block of inputs.
  const char* pair(int output_block, int input_block) const {
    const auto before = static_cast<std::size_t>(output_block) * static_cast<std::size_t>(inputs / kWide);
    return tiles + (before + static_cast<std::size_t>(input_block)) * 2 * kTileBytes;
  }
};

/// Sums of one block as the tiles store them: [tile][token][16 outputs].
struct alignas(64) Sums {
  float tile[4][kTileRows][kNarrow];
};

/// tmm0–3 += block of tokens × weights, over `steps` blocks of inputs; between them, `beside(step)`.
template <int row_tiles, class Beside>
inline void multiply(const char* tokens, std::size_t panel_bytes, const char* weights, int steps, Beside&& beside) {
  for (int step = 0; step < steps; ++step) {
    const char* left = tokens + static_cast<std::size_t>(step) * panel_bytes;
    const char* right = weights + static_cast<std::size_t>(step) * 2 * kTileBytes;
    tiles::load_streaming<4>(left);
    tiles::load_streaming<6>(right);
    tiles::load_streaming<7>(right + kTileBytes);
    tiles::dot<0, 4, 6>();
    tiles::dot<1, 4, 7>();
    if constexpr (row_tiles == 2) {
      tiles::load_streaming<5>(left + kTileBytes);
      tiles::dot<2, 5, 6>();
      tiles::dot<3, 5, 7>();
    }
    beside(step);
  }
}

/// x · w, block after block; `finish(token, output_block, left, right)` gets each line of 32 sums, once all are there.
///
/// Tokens past `count`, up to a whole tile, are multiplied and given to `finish` like the others.
template <class Finish>
inline void product(Panels x, int count, const Weights& w, Finish&& finish) {
  const int steps = w.inputs / kWide;
  const std::size_t panel_bytes = x.lines * kRowBytes;
  Sums sums[2];
  int at = 0, waiting_token = 0, waiting_block = 0, waiting_lines = 0, done = 0;

  const auto finish_up_to = [&](int lines) {
    const Sums& waiting = sums[1 - at];
    for (; done < lines; ++done) {
      const int row = done % kTileRows, first = done / kTileRows * 2;
      finish(waiting_token + done, waiting_block, load<f32x16>(waiting.tile[first][row]),
             load<f32x16>(waiting.tile[first + 1][row]));
    }
  };
  const auto beside = [&](int step) { finish_up_to(waiting_lines * (step + 1) / steps); };

  for (int block = 0; block < w.outputs / kWide; ++block) {
    for (int token = 0; token < count; token += 2 * kTileRows) {
      const bool two = count - token > kTileRows;
      tiles::zero<0>();
      tiles::zero<1>();
      if (two) {
        tiles::zero<2>();
        tiles::zero<3>();
        multiply<2>(x.at(0, token), panel_bytes, w.pair(block, 0), steps, beside);
        tiles::store<2>(sums[at].tile[2]);
        tiles::store<3>(sums[at].tile[3]);
      } else {
        multiply<1>(x.at(0, token), panel_bytes, w.pair(block, 0), steps, beside);
      }
      tiles::store<0>(sums[at].tile[0]);
      tiles::store<1>(sums[at].tile[1]);
      waiting_token = token;
      waiting_block = block;
      waiting_lines = two ? 2 * kTileRows : kTileRows;
      done = 0;
      at = 1 - at;
    }
  }
  finish_up_to(waiting_lines);
}

/// to += x · w[first_input …], for as many inputs as `blocks` blocks of x hold; `to` is f32 and holds numbers already.
inline void accumulate(Panels x, int count, const Weights& w, int first_block, int blocks, Panels to) {
  const auto nothing = [](int) {};
  const std::size_t panel_bytes = x.lines * kRowBytes;
  for (int block = 0; block < w.outputs / kWide; ++block) {
    const char* weights = w.pair(block, first_block);
    for (int token = 0; token < count; token += 2 * kTileRows) {
      char* left = to.at(2 * block, token);
      char* right = to.at(2 * block + 1, token);
      tiles::load<0>(left);
      tiles::load<1>(right);
      if (count - token > kTileRows) {
        tiles::load<2>(left + kTileBytes);
        tiles::load<3>(right + kTileBytes);
        multiply<2>(x.at(0, token), panel_bytes, weights, blocks, nothing);
        tiles::store<2>(left + kTileBytes);
        tiles::store<3>(right + kTileBytes);
      } else {
        multiply<1>(x.at(0, token), panel_bytes, weights, blocks, nothing);
      }
      tiles::store<0>(left);
      tiles::store<1>(right);
    }
  }
}

/// A line of 32 bf16 of two vectors.
inline void store_line(char* to, f32x16 left, f32x16 right) {
  store(to, to_bf16(left));
  store(to + kRowBytes / 2, to_bf16(right));
}

}  // namespace hardtack
