// Every kernel by itself, for tests: linear arrays in and out, panels within. Not in the library that is shipped.
#include <vector>

#include "abi.h"
#include "attention.h"
#include "crew.h"
#include "dot_in_plain.h"
#include "lines.h"

using namespace hardtack;

namespace {

/// [token][feature] f32 into panels of bf16 (as 32) or f32 (as 16 features a line).
void lay_out(const float* from, int tokens, int size, Panels to, bool wide) {
  for (int token = 0; token < tokens; ++token)
    for (int feature = 0; feature < size; feature += kLanes) {
      const auto value = load<f32x16>(from + token * size + feature);
      if (wide)
        store(to.at(feature / kWide, token) + feature / kLanes % 2 * kRowBytes / 2, to_bf16(value));
      else
        store(to.at(feature / kNarrow, token), value);
    }
}

void collect(Panels from, int tokens, int size, float* to, bool wide) {
  for (int token = 0; token < tokens; ++token)
    for (int feature = 0; feature < size; feature += kLanes)
      store(to + token * size + feature,
            wide ? from_bf16(load<u16x16>(from.at(feature / kWide, token) + feature / kLanes % 2 * kRowBytes / 2))
                 : load<f32x16>(from.at(feature / kNarrow, token)));
}

}  // namespace

extern "C" {

/* count is a multiple of 16 throughout; kind: 0 gelu, 1 gelu by tanh, 2 exp2 of what is not above 0, 3 round to bf16 */
HARDTACK_API void hardtack_test_lanes(int32_t kind, int32_t count, const float* from, float* to) {
  for (int i = 0; i < count; i += kLanes) {
    const auto x = load<f32x16>(from + i);
    store(to + i, kind == 0   ? gelu<Activation::gelu_erf>(x)
                  : kind == 1 ? gelu<Activation::gelu_tanh>(x)
                  : kind == 2 ? exp2_of_negative(x)
                              : from_bf16(to_bf16(x)));
  }
}

HARDTACK_API void hardtack_test_transpose(const uint32_t* from, uint32_t* to) {
  u32x16 row[kLanes];
  for (int i = 0; i < kLanes; ++i) row[i] = load<u32x16>(from + i * kLanes);
  transpose(row);
  for (int i = 0; i < kLanes; ++i) store(to + i * kLanes, row[i]);
}

HARDTACK_API void hardtack_test_dot(const uint8_t* a, const uint8_t* b, uint8_t* c) { dot_in_plain(a, b, c); }

/* y [tokens][outputs] = x · w, rounded to bf16 */
HARDTACK_API void hardtack_test_product(int32_t tokens, int32_t inputs, int32_t outputs, const float* x,
                                        const void* w, float* y) {
  Buffer from, to;
  const Panels left = from.panels(inputs / kWide, tokens), made = to.panels(outputs / kWide, tokens);
  lay_out(x, tokens, inputs, left, true);
  const tiles::Session session;
  product(left, tokens, {static_cast<const char*>(w), inputs, outputs},
          [&](int token, int block, f32x16 a, f32x16 b) { store_line(made.at(block, token), a, b); });
  collect(made, tokens, outputs, y, true);
}

/* y [tokens][outputs] += x · w over `blocks` blocks of 32 inputs, from the weights' `first` one on */
HARDTACK_API void hardtack_test_accumulate(int32_t tokens, int32_t inputs, int32_t outputs, int32_t first,
                                           int32_t blocks, const float* x, const void* w, float* y) {
  Buffer from, to;
  const Panels left = from.panels(blocks, tokens), made = to.panels(outputs / kNarrow, tokens);
  lay_out(x, tokens, blocks * kWide, left, true);
  lay_out(y, tokens, outputs, made, false);
  const tiles::Session session;
  accumulate(left, tokens, {static_cast<const char*>(w), inputs, outputs}, first, blocks, made);
  collect(made, tokens, outputs, y, false);
}

/* One head of a text that lies at `first` among `all` tokens; q, k, v and out are [all][32 · wide] */
HARDTACK_API void hardtack_test_attention(int32_t all, int32_t first, int32_t tokens, int32_t wide, const float* q,
                                          const float* k, const float* v, const float* bias, int32_t far, float* out) {
  Buffer memory[3];
  Panels panels[3];
  const float* from[] = {q, k, v};
  for (int i = 0; i < 3; ++i) {
    panels[i] = memory[i].panels(wide, all);
    lay_out(from[i], all, wide * kWide, panels[i], true);
  }
  const tiles::Session session;
  Attention attention;
  attention.mix({panels[0], panels[1], panels[2], panels[0], first, tokens, wide, bias, far});
  collect(panels[0], all, wide * kWide, out, true);
}

/* stream [tokens][size] in place, copy [tokens][size] as it was rounded */
HARDTACK_API void hardtack_test_normalize(int32_t tokens, int32_t size, const float* scale, const float* shift,
                                          float epsilon, const float* bias, float* stream, float* copy) {
  Buffer memory, copies;
  const int panels = (size + kWide - 1) / kWide;
  const Panels x = memory.panels(2 * panels, tokens), made = copies.panels(panels, tokens);
  lay_out(stream, tokens, size, x, false);
  normalize_lines(x, tokens, size, {scale, shift, epsilon}, bias, made);
  collect(x, tokens, size, stream, false);
  collect(made, tokens, size, copy, true);
}

HARDTACK_API void hardtack_test_pool(int32_t tokens, int32_t size, int32_t kind, const float* x, const float* weight,
                                     float* to) {
  Buffer memory;
  const Panels stream = memory.panels(size / kNarrow, tokens);
  lay_out(x, tokens, size, stream, false);
  pool(stream, 0, tokens, size, static_cast<Pooling>(kind), weight, to);
}

HARDTACK_API void hardtack_test_dense(int32_t inputs, int32_t outputs, int32_t squash, const float* rows,
                                      const float* bias, const float* from, float* to) {
  apply({rows, bias, inputs, outputs, squash}, from, to);
}

/* How a batch is cut: [chunks][first text, texts, first token, tokens]; gives how many chunks, `texts` at most. */
HARDTACK_API int32_t hardtack_test_cut(int32_t texts, const int32_t* lengths, int32_t most, int32_t threads,
                                       int32_t* to) {
  HardtackBatch batch{};
  batch.texts = texts;
  batch.lengths = lengths;
  const std::vector<Chunk> chunks = cut(batch, most, threads);
  for (const Chunk& chunk : chunks) {
    *to++ = chunk.first_text;
    *to++ = chunk.texts;
    *to++ = chunk.first_token;
    *to++ = chunk.tokens;
  }
  return static_cast<int32_t>(chunks.size());
}
}
