// What is done to one token at a time, in f32: embedding, normalising, pooling, and the layers of a head.
//
// The stream of a text through the layers (`x` in papers) is kept in f32 panels; what the tiles multiply is its copy in
// bf16. A normalised token goes to both at once. To the f32 one the bias of the next product is added there and then, so
// that the product only has to add its sums to what it finds: residual, bias and product meet in no pass of their own.
#pragma once

#include <cmath>
#include <cstdint>

#include "panels.h"
#include "product.h"
#include "vectors.h"

namespace hardtack {

/// Scale and shift of a normalisation over `size` features, a multiple of 16; both lines are f32.
struct Norm {
  const float* scale = nullptr;
  const float* shift = nullptr;
  float epsilon = 0;
};

/// Normalises tokens of `stream` in place (mean 0, variance 1, scale, shift), and writes them to `copy` as bf16.
///
/// `bias` is added to the stream afterwards, not to the copy; null: nothing is. Both are padded to whole panels of 32
/// features, of which those past `size` stay 0.
inline void normalize_lines(Panels stream, int count, int size, const Norm& norm, const float* bias, Panels copy) {
  const int panels = size / kNarrow;
  const float share = 1.0f / static_cast<float>(size);
  for (int token = 0; token < count; ++token) {
    f32x16 total{};
    for (int panel = 0; panel < panels; ++panel) total += load<f32x16>(stream.at(panel, token));
    const float mean = sum(total) * share;
    f32x16 squares{};
    for (int panel = 0; panel < panels; ++panel) {
      const f32x16 off = load<f32x16>(stream.at(panel, token)) - mean;
      squares += off * off;
    }
    const float factor = 1.0f / std::sqrt(sum(squares) * share + norm.epsilon);
    for (int panel = 0; panel < panels; ++panel) {
      const int feature = panel * kNarrow;
      const f32x16 off = load<f32x16>(stream.at(panel, token)) - mean;
      const f32x16 value = off * factor * load<f32x16>(norm.scale + feature) + load<f32x16>(norm.shift + feature);
      store(copy.at(panel / 2, token) + panel % 2 * kRowBytes / 2, to_bf16(value));
      store(stream.at(panel, token), bias == nullptr ? value : value + load<f32x16>(bias + feature));
    }
    if (panels % 2 != 0) {  // memory is used again: what a weight of 0 is multiplied with must be a number
      store(copy.at(panels / 2, token) + kRowBytes / 2, u16x16{});
      store(stream.at(panels, token), f32x16{});
    }
  }
}

/// A table of bf16 rows, `size` numbers each.
struct Table {
  const std::uint16_t* rows = nullptr;
  int size = 0;

  f32x16 at(std::int32_t row, int feature) const {
    return from_bf16(load<u16x16>(rows + static_cast<std::size_t>(row) * static_cast<std::size_t>(size) + feature));
  }
};

/// Adds the rows of several tables into a token's lines.
template <class... Row>
inline void embed_line(Panels stream, int token, int size, const Row&... row) {
  for (int feature = 0; feature < size; feature += kNarrow)
    store(stream.at(feature / kNarrow, token), (row(feature) + ...));
}

/// How tokens become one vector: the sum of their lines, weighted, or the greatest of each feature.
enum class Pooling : std::int32_t { sum = 0, greatest = 1 };

/// Pools `count` tokens from `first` on into `size` numbers; of those with weight 0 nothing counts.
inline void pool(Panels stream, int first, int count, int size, Pooling kind, const float* weight, float* to) {
  for (int feature = 0; feature < size; feature += kNarrow) {
    f32x16 value = broadcast(kind == Pooling::sum ? 0.0f : -__builtin_inff());
    for (int token = 0; token < count; ++token) {
      if (weight[token] == 0) continue;
      const f32x16 line = load<f32x16>(stream.at(feature / kNarrow, first + token));
      value = kind == Pooling::sum ? value + line * weight[token] : greater_of(value, line);
    }
    store(to + feature, value);
  }
}

/// One layer of a head, in f32: rows of weights padded to whole vectors with zeros.
struct Dense {
  const float* rows = nullptr;
  const float* bias = nullptr;
  std::int32_t inputs = 0;  // padded to a multiple of 16
  std::int32_t outputs = 0;
  std::int32_t squash = 0;  // 0 nothing, 1 tanh
};

inline void apply(const Dense& layer, const float* from, float* to) {
  for (int output = 0; output < layer.outputs; ++output) {
    const float* row = layer.rows + static_cast<std::size_t>(output) * static_cast<std::size_t>(layer.inputs);
    f32x16 total{};
    for (int input = 0; input < layer.inputs; input += kLanes)
      total += load<f32x16>(row + input) * load<f32x16>(from + input);
    const float value = sum(total) + layer.bias[output];
    to[output] = layer.squash == 1 ? std::tanh(value) : value;
  }
}

/// To length one, as torch's normalize does it: a vector of zeros stays one.
inline void to_unit_length(float* vector, int size) {
  float squares = 0;
  for (int i = 0; i < size; ++i) squares += vector[i] * vector[i];
  const float length = std::sqrt(squares);
  const float divisor = length > 1e-12f ? length : 1e-12f;
  for (int i = 0; i < size; ++i) vector[i] /= divisor;
}

}  // namespace hardtack
