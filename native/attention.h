// Attention of one head over one text: softmax(Q·Kᵀ)·V, with the scale 1/√d and log₂e folded into Q's weights.
//
// Q, K and V are panels of bf16, `wide` panels a head. As right-hand operands K and V have to be put in pairs first:
//
//     Kᵀ, a tile for 16 keys and 32 features        V, a tile for 32 keys and 16 features
//     row p: features 2p and 2p+1 of each key       row p: keys 2p and 2p+1 of each feature
//     = 16 lines of K, their 32-bit pairs           = two lines of V at a time, their 16-bit
//       transposed                                    halves interleaved
//
// Sixteen queries at a time: their scores against all keys lie in one line a query, are raised and summed there, and go
// back into tiles as bf16. The sum divides the result, not the weights, which so are rounded once.
#pragma once

#include <algorithm>
#include <utility>

#include "panels.h"
#include "product.h"
#include "tiles.h"
#include "vectors.h"

namespace hardtack {

/// Calls `body(integral_constant<int, count>)` for a count of 1 to 4: of tiles, whose numbers are constants of the code.
template <class Body>
inline void with_count(int count, Body&& body) {
  switch (count) {
    case 1: return body(std::integral_constant<int, 1>{});
    case 2: return body(std::integral_constant<int, 2>{});
    case 3: return body(std::integral_constant<int, 3>{});
    default: return body(std::integral_constant<int, 4>{});
  }
}

/// tmm0 … += a · each of `count` tiles that lie `apart` bytes from each other.
template <int count>
inline void dot_each(const char* a, const char* b, std::size_t apart) {
  tiles::load<4>(a);
  [&]<int... i>(std::integer_sequence<int, i...>) {
    ((tiles::load<5 + i % 3>(b + i * apart), tiles::dot<i, 4, 5 + i % 3>()), ...);
  }(std::make_integer_sequence<int, count>{});
}

template <int count>
inline void zero_each() {
  [&]<int... i>(std::integer_sequence<int, i...>) { (tiles::zero<i>(), ...); }(
      std::make_integer_sequence<int, count>{});
}

template <int count>
inline void store_each(char* to, std::size_t apart, long stride) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (tiles::store<i>(to + i * apart, stride), ...); }(
      std::make_integer_sequence<int, count>{});
}

class Attention {
 public:
  /// Where one text's head lies: `wide` panels each, from its first token on; `bias`, where the model has one, is a
  /// line of numbers of which [far + key - query] is added to a score (MPNet). `only`: of the queries this one alone.
  struct Head {
    Panels query, key, value, out;
    int first = 0;
    int tokens = 0;
    int wide = 0;
    const float* bias = nullptr;
    int far = 0;
    int only = -1;
  };

  /// Mixes one head of one text. `out` may be `query`: a block of queries is read before its result is written.
  void mix(const Head& head) {
    const int key_blocks = (head.tokens + 15) / 16, pair_blocks = (head.tokens + 31) / 32;
    char* keys = keys_.reserve(static_cast<std::size_t>(key_blocks * head.wide) * kTileBytes);
    char* values = values_.reserve(static_cast<std::size_t>(pair_blocks * head.wide * 2) * kTileBytes);
    score_bytes_ = static_cast<std::size_t>(2 * pair_blocks) * kRowBytes;
    scores_.reserve(score_bytes_ * kTileRows);
    shares_.reserve(static_cast<std::size_t>(pair_blocks) * kTileBytes);
    for (int block = 0; block < key_blocks; ++block)
      for (int panel = 0; panel < head.wide; ++panel)
        pair_keys(head, block, panel, keys + (block * head.wide + panel) * kTileBytes);
    for (int block = 0; block < pair_blocks; ++block)
      for (int panel = 0; panel < head.wide; ++panel)
        pair_values(head, block, panel, values + (block * head.wide + panel) * 2 * kTileBytes);
    const int begin = head.only < 0 ? 0 : head.only, end = head.only < 0 ? head.tokens : head.only + 1;
    for (int query = begin; query < end; query += kTileRows) {
      const int rows = std::min(kTileRows, end - query);
      f32x16 whole{};  // each query's sum of raised scores
      score(head, query, key_blocks, keys);
      for (int row = 0; row < rows; ++row) whole[row] = raise(head, query, row);
      gather(head, query, rows, pair_blocks, values, whole);
    }
  }

 private:
  /// A line of a text's panel, or zeros past its end.
  static u32x16 line(Panels panels, const Head& head, int panel, int token) {
    return token < head.tokens ? load<u32x16>(panels.at(panel, head.first + token)) : u32x16{};
  }

  static void pair_keys(const Head& head, int block, int panel, char* tile) {
    u32x16 row[kTileRows];
    for (int i = 0; i < kTileRows; ++i) row[i] = line(head.key, head, panel, block * kTileRows + i);
    transpose(row);
    for (int i = 0; i < kTileRows; ++i) store(tile + i * kRowBytes, row[i]);
  }

  static void pair_values(const Head& head, int block, int panel, char* two_tiles) {
    u32x16 low, high;  // which lanes of 16-bit pairs make features 0–15 and 16–31
    for (int i = 0; i < kLanes; ++i) {
      low[i] = static_cast<std::uint32_t>(i / 2);
      high[i] = static_cast<std::uint32_t>(i / 2 + kLanes / 2);
    }
    const u32x16 odd = reinterpret_cast<u32x16>(i32x16{0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1});
    for (int pair = 0; pair < kTileRows; ++pair) {
      const u32x16 a = line(head.value, head, panel, block * kWide + 2 * pair);
      const u32x16 b = line(head.value, head, panel, block * kWide + 2 * pair + 1);
      const auto interleave = [&](u32x16 lanes) {
        const u32x16 from_a = __builtin_shuffle(a, lanes), from_b = __builtin_shuffle(b, lanes);
        const u32x16 even_features = (from_a & 0xffffu) | (from_b << 16);
        const u32x16 odd_features = (from_a >> 16) | (from_b & 0xffff0000u);
        return odd ? odd_features : even_features;
      };
      store(two_tiles + pair * kRowBytes, interleave(low));
      store(two_tiles + kTileBytes + pair * kRowBytes, interleave(high));
    }
  }

  /// Scores of 16 queries, [query][key], against the keys of whole blocks.
  void score(const Head& head, int query, int key_blocks, const char* keys) {
    const auto apart = static_cast<std::size_t>(head.wide) * kTileBytes;
    for (int block = 0; block < key_blocks; block += 4)
      with_count(std::min(4, key_blocks - block), [&](auto count) {
        zero_each<count>();
        for (int panel = 0; panel < head.wide; ++panel)
          dot_each<count>(head.query.at(panel, head.first + query), keys + block * apart + panel * kTileBytes, apart);
        store_each<count>(scores_.data() + block * kRowBytes, kRowBytes, static_cast<long>(score_bytes_));
      });
  }

  /// One query's scores to 2^(score - greatest), as bf16 tiles; gives their sum, as they were rounded.
  float raise(const Head& head, int query, int row) {
    char* scores = scores_.data() + static_cast<std::size_t>(row) * score_bytes_;
    const int blocks = static_cast<int>(score_bytes_) / kRowBytes;
    const float never = -__builtin_inff();
    for (int key = head.tokens; key < blocks * kLanes; ++key) store(scores + key * sizeof(float), never);
    f32x16 most = broadcast(never);
    for (int block = 0; block < blocks; ++block) {
      f32x16 value = load<f32x16>(scores + block * kRowBytes);
      if (head.bias != nullptr) {
        value += load<f32x16>(head.bias + head.far + block * kLanes - (query + row));
        store(scores + block * kRowBytes, value);
      }
      most = greater_of(most, value);
    }
    const float top = greatest(most);
    f32x16 total{};
    for (int block = 0; block < blocks; ++block) {
      const u16x16 share = to_bf16(exp2_of_negative(load<f32x16>(scores + block * kRowBytes) - top));
      total += from_bf16(share);
      char* tile = shares_.data() + block / 2 * kTileBytes;
      store(tile + row * kRowBytes + block % 2 * kRowBytes / 2, share);
    }
    return sum(total);
  }

  /// Raised scores times values, each divided by its query's sum, into the lines of `out`.
  void gather(const Head& head, int query, int rows, int pair_blocks, const char* values, f32x16 whole) {
    alignas(64) float mixed[2][kTileRows][kNarrow];
    const auto apart = static_cast<std::size_t>(head.wide) * 2 * kTileBytes;
    for (int panel = 0; panel < head.wide; ++panel) {
      zero_each<2>();
      for (int block = 0; block < pair_blocks; ++block)
        dot_each<2>(shares_.data() + block * kTileBytes, values + block * apart + panel * 2 * kTileBytes,
                    kTileBytes);
      store_each<2>(reinterpret_cast<char*>(mixed), kTileBytes, kRowBytes);
      for (int row = 0; row < rows; ++row)
        store_line(head.out.at(panel, head.first + query + row), load<f32x16>(mixed[0][row]) / whole[row],
                   load<f32x16>(mixed[1][row]) / whole[row]);
    }
  }

  Buffer keys_, values_, scores_, shares_;
  std::size_t score_bytes_ = 0;
};

}  // namespace hardtack
