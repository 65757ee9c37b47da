// A whole encoder: texts as ids in, one row of numbers a text out. One thread, one chunk of texts at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "abi.h"
#include "attention.h"
#include "lines.h"
#include "panels.h"
#include "product.h"

namespace hardtack {

/// One layer's weights: views of memory that the caller keeps.
struct Layer {
  Weights qkv, out, up, down;
  const float *qkv_bias, *out_bias, *up_bias, *down_bias;
  Norm after_attention, after_inner;
};

/// A model: its shape, and views of its weights.
struct Model {
  HardtackShape shape;
  Table words, positions, types;
  const float* relative = nullptr;  // [head][2·positions + 64]: bias by distance; the middle is distance 0
  Norm embedded;
  std::vector<Layer> layers;
  std::vector<Dense> head;

  Model(const HardtackShape& shape, const void* const* sections);

  int width() const { return head.empty() ? shape.size : head.back().outputs; }
};

/// Some texts of a batch that are run together: their tokens follow each other.
struct Chunk {
  int first_text = 0;
  int texts = 0;
  int first_token = 0;
  int tokens = 0;
};

/// The memory that one thread works in; it grows to what the largest chunk needed.
class Workspace {
 public:
  void run(const Model& model, const HardtackBatch& batch, const Chunk& chunk);

 private:
  void embed(const Model& model, const HardtackBatch& batch, const Chunk& chunk);
  /// Mixes all texts into the first panels of `wide_`; `few`: of each text that token alone which is read.
  void attend(const Model& model, const Layer& layer, const HardtackBatch& batch, const Chunk& chunk, bool few);
  void feed_forward(const Model& model, const Layer& layer, int tokens);
  /// Which token of each text is read in the end, if it is one of each: the first, as heads and CLS have it, or the last.
  /// Of the last layer then nothing is computed for the others but their keys and values.
  void find_read(const Model& model, const HardtackBatch& batch, const Chunk& chunk);
  /// Moves the tokens that are read to the front, each text's to the text's number; gives how many there are.
  int bring_forward(const Model& model);
  void answer(const Model& model, const HardtackBatch& batch, const Chunk& chunk);

  Buffer stream_memory_, copy_memory_, wide_memory_, pooled_memory_, hidden_memory_;
  Panels stream_;  // f32: the texts on their way through the layers
  Panels copy_;    // the same in bf16, for the tiles
  Panels wide_;    // bf16: queries, keys and values; then a slice of the feed-forward part
  Attention attention_;
  std::vector<int> read_;  // of each text, counted from the chunk's first token; empty: all tokens are
};

}  // namespace hardtack
