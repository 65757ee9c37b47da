#include "encoder.h"

#include <algorithm>
#include <cstring>

namespace hardtack {
namespace {

/// Features of the feed-forward part that are computed at once: with the stream (f32), its copy (bf16) and this slice,
/// 448 tokens of 384 features are 1.5 MB, which the second cache (2 MB) holds between the two products.
constexpr int kSlice = 512;

template <class T>
const T* next(const void* const*& section) {
  return static_cast<const T*>(*section++);
}

int padded(int size, int to) { return (size + to - 1) / to * to; }

}  // namespace

Model::Model(const HardtackShape& given, const void* const* sections) : shape(given) {
  const void* const* section = sections;
  const int size = padded(shape.size, kWide), mixed = shape.heads * shape.head_panels * kWide;
  words = {next<std::uint16_t>(section), shape.size};
  positions = {next<std::uint16_t>(section), shape.size};
  types = {next<std::uint16_t>(section), shape.size};
  relative = next<float>(section);
  const auto norm = [&] {
    const float* scale = next<float>(section);
    return Norm{scale, next<float>(section), shape.epsilon};
  };
  embedded = norm();
  for (int number = 0; number < shape.layers; ++number) {
    Layer layer;
    layer.qkv = {next<char>(section), size, 3 * mixed};
    layer.qkv_bias = next<float>(section);
    layer.out = {next<char>(section), mixed, size};
    layer.out_bias = next<float>(section);
    layer.after_attention = norm();
    layer.up = {next<char>(section), size, shape.inner};
    layer.up_bias = next<float>(section);
    layer.down = {next<char>(section), shape.inner, size};
    layer.down_bias = next<float>(section);
    layer.after_inner = norm();
    layers.push_back(layer);
  }
  for (int number = 0; number < shape.dense; ++number) {
    const float* rows = next<float>(section);
    const float* bias = next<float>(section);
    head.push_back({rows, bias, padded(shape.dense_inputs[number], kLanes), shape.dense_outputs[number],
                    shape.dense_squash[number]});
  }
}

void Workspace::run(const Model& model, const HardtackBatch& batch, const Chunk& chunk) {
  const HardtackShape& shape = model.shape;
  const int panels = padded(shape.size, kWide) / kWide;
  const int of_heads = 3 * shape.heads * shape.head_panels, of_slice = std::min(shape.inner, kSlice) / kWide;
  stream_ = stream_memory_.panels(2 * panels, chunk.tokens);
  copy_ = copy_memory_.panels(panels, chunk.tokens);
  wide_ = wide_memory_.panels(std::max(of_heads, of_slice), chunk.tokens);

  find_read(model, batch, chunk);
  embed(model, batch, chunk);
  tiles::Session session;
  for (std::size_t number = 0; number < model.layers.size(); ++number) {
    const Layer& layer = model.layers[number];
    const bool last = number + 1 == model.layers.size(), few = last && !read_.empty();
    attend(model, layer, batch, chunk, few);
    const int tokens = few ? bring_forward(model) : chunk.tokens;
    accumulate(wide_, tokens, layer.out, 0, shape.heads * shape.head_panels, stream_);
    normalize_lines(stream_, tokens, shape.size, layer.after_attention, layer.down_bias, copy_);
    feed_forward(model, layer, tokens);
    const float* bias = last ? nullptr : model.layers[number + 1].out_bias;
    normalize_lines(stream_, tokens, shape.size, layer.after_inner, bias, copy_);
  }
  answer(model, batch, chunk);
}

void Workspace::find_read(const Model& model, const HardtackBatch& batch, const Chunk& chunk) {
  read_.clear();
  if (model.layers.empty() || static_cast<Pooling>(model.shape.pooling) != Pooling::sum) return;
  int first = 0;
  for (int text = chunk.first_text; text < chunk.first_text + chunk.texts; ++text) {
    const int tokens = batch.lengths[text];
    const float* weights = batch.weights + chunk.first_token + first;
    const auto counts = [](float weight) { return weight != 0; };
    if (std::count_if(weights, weights + tokens, counts) != 1) return read_.clear();
    read_.push_back(first + static_cast<int>(std::find_if(weights, weights + tokens, counts) - weights));
    first += tokens;
  }
}

int Workspace::bring_forward(const Model& model) {
  const int stream_panels = 2 * padded(model.shape.size, kWide) / kWide;
  const int mixed_panels = model.shape.heads * model.shape.head_panels;
  const auto bring = [this](Panels panels, int count) {
    for (int panel = 0; panel < count; ++panel)
      for (int text = 0; text < static_cast<int>(read_.size()); ++text)
        std::memmove(panels.at(panel, text), panels.at(panel, read_[text]), kRowBytes);  // never before its own text's
  };
  bring(stream_, stream_panels);
  bring(wide_, mixed_panels);
  return static_cast<int>(read_.size());
}

void Workspace::embed(const Model& model, const HardtackBatch& batch, const Chunk& chunk) {
  const int size = model.shape.size;
  for (int token = 0; token < chunk.tokens; ++token) {
    const int from = chunk.first_token + token;
    const auto word = [&](int feature) { return model.words.at(batch.ids[from], feature); };
    const auto place = [&](int feature) { return model.positions.at(batch.positions[from], feature); };
    if (model.shape.types > 0) {
      const auto type = [&](int feature) { return model.types.at(batch.types[from], feature); };
      embed_line(stream_, token, size, word, place, type);
    } else {
      embed_line(stream_, token, size, word, place);
    }
  }
  const float* bias = model.layers.empty() ? nullptr : model.layers.front().out_bias;
  normalize_lines(stream_, chunk.tokens, size, model.embedded, bias, copy_);
}

void Workspace::attend(const Model& model, const Layer& layer, const HardtackBatch& batch, const Chunk& chunk,
                       bool few) {
  const HardtackShape& shape = model.shape;
  product(copy_, chunk.tokens, layer.qkv, [&](int token, int block, f32x16 left, f32x16 right) {
    const float* bias = layer.qkv_bias + block * kWide;
    store_line(wide_.at(block, token), left + load<f32x16>(bias), right + load<f32x16>(bias + kLanes));
  });
  const int mixed = shape.heads * shape.head_panels;
  for (int head = 0; head < shape.heads; ++head) {
    const int panel = head * shape.head_panels;
    int first = 0;
    for (int text = 0; text < chunk.texts; ++text) {
      const int tokens = batch.lengths[chunk.first_text + text];
      Attention::Head one{wide_.from(panel), wide_.from(mixed + panel), wide_.from(2 * mixed + panel),
                          wide_.from(panel), first, tokens, shape.head_panels};
      if (few) one.only = read_[text] - first;
      if (shape.relative != 0) {
        one.far = shape.positions;
        one.bias = model.relative + static_cast<std::size_t>(head) * static_cast<std::size_t>(2 * shape.positions + 64);
      }
      attention_.mix(one);
      first += tokens;
    }
  }
}

void Workspace::feed_forward(const Model& model, const Layer& layer, int tokens) {
  const HardtackShape& shape = model.shape;
  const auto slices = [&]<Activation kind>(std::integral_constant<Activation, kind>) {
    for (int from = 0; from < shape.inner; from += kSlice) {
      const int slice = std::min(kSlice, shape.inner - from), block = from / kWide;
      const Weights up{layer.up.pair(block, 0), layer.up.inputs, slice};
      product(copy_, tokens, up, [&](int token, int output, f32x16 left, f32x16 right) {
        const float* bias = layer.up_bias + from + output * kWide;
        store_line(wide_.at(output, token), gelu<kind>(left + load<f32x16>(bias)),
                   gelu<kind>(right + load<f32x16>(bias + kLanes)));
      });
      accumulate(wide_, tokens, layer.down, block, slice / kWide, stream_);
    }
  };
  if (shape.activation == static_cast<std::int32_t>(Activation::gelu_tanh))
    slices(std::integral_constant<Activation, Activation::gelu_tanh>{});
  else
    slices(std::integral_constant<Activation, Activation::gelu_erf>{});
}

void Workspace::answer(const Model& model, const HardtackBatch& batch, const Chunk& chunk) {
  const HardtackShape& shape = model.shape;
  int widest = padded(shape.size, kLanes);
  for (const Dense& layer : model.head) widest = std::max(widest, padded(layer.outputs, kLanes));
  const std::size_t bytes = static_cast<std::size_t>(widest) * sizeof(float);
  float* from = reinterpret_cast<float*>(pooled_memory_.reserve(bytes));
  float* to = reinterpret_cast<float*>(hidden_memory_.reserve(bytes));
  int first = 0;
  for (int text = chunk.first_text; text < chunk.first_text + chunk.texts; ++text) {
    const int tokens = batch.lengths[text], number = text - chunk.first_text;
    const float* weights = batch.weights + chunk.first_token;
    if (read_.empty())
      pool(stream_, first, tokens, shape.size, static_cast<Pooling>(shape.pooling), weights + first, from);
    else
      pool(stream_, number, 1, shape.size, Pooling::sum, weights + read_[number], from);
    for (const Dense& layer : model.head) {
      apply(layer, from, to);
      for (int past = layer.outputs; past < padded(layer.outputs, kLanes); ++past) to[past] = 0;
      std::swap(from, to);
    }
    if (shape.unit != 0) to_unit_length(from, model.width());
    std::copy_n(from, model.width(), batch.rows + static_cast<std::size_t>(text) * model.width());
    first += tokens;
  }
}

}  // namespace hardtack
