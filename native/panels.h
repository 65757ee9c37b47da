// How activations lie in memory: in panels of one cache line a token.
//
//     panel 0: features 0–31      panel 1: features 32–63        …
//     ┌──────────────────────┐    ┌──────────────────────┐
//     │ token 0      64 byte │    │ token 0              │       a line is 32 bf16 or 16 f32
//     │ token 1              │    │ token 1              │
//     │ …                    │    │ …                    │
//     └──────────────────────┘    └──────────────────────┘
//
// Any 16 tokens that follow each other are a whole tile of 1 KB, wherever a text begins: texts are packed with no padding
// between them and attention still loads its tiles straight from here. What tiles read past the last token belongs to the
// panel too (see `lines_for`), and is never used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "tile.h"
#include "vectors.h"

namespace hardtack {

inline constexpr int kWide = 32;    // bf16 in a line; features in a panel of bf16
inline constexpr int kNarrow = 16;  // f32 in a line; features in a panel of f32

/// Lines of a panel of so many tokens. A tile that begins at the last token reads 15 lines more, and the last block of
/// rows is a whole tile. An odd number, so that one token's lines in all panels spread over the sets of the caches.
inline std::size_t lines_for(int tokens) { return static_cast<std::size_t>((tokens + 15) / 16 * 16 + 17); }

/// A view of panels that all have the same number of lines.
struct Panels {
  char* base = nullptr;
  std::size_t lines = 0;

  char* at(int panel, int token) const {
    return base + (static_cast<std::size_t>(panel) * lines + static_cast<std::size_t>(token)) * kRowBytes;
  }
  Panels from(int panel) const { return {at(panel, 0), lines}; }
};

/// Memory at a cache line's edge that only grows; new memory is zero, so that what is read in vain is a number.
class Buffer {
 public:
  char* reserve(std::size_t bytes) {
    if (bytes > size_) {
      data_.reset();
      size_ = 0;
      const std::size_t rounded = (bytes + kRowBytes - 1) / kRowBytes * kRowBytes;
      data_.reset(static_cast<char*>(std::aligned_alloc(kRowBytes, rounded)));
      if (!data_) throw std::bad_alloc();
      std::memset(data_.get(), 0, rounded);
      size_ = rounded;
    }
    return data_.get();
  }
  char* data() const { return data_.get(); }
  Panels panels(int count, int tokens) {
    const std::size_t lines = lines_for(tokens);
    return {reserve(static_cast<std::size_t>(count) * lines * kRowBytes), lines};
  }

 private:
  struct Free {
    void operator()(char* data) const { std::free(data); }
  };
  std::unique_ptr<char, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace hardtack
