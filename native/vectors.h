// Sixteen lanes at a time, in plain C++: what is computed between the products of tiles.
//
// GCC's and Clang's vector types, so that one source serves AVX-512 and whatever a test runs on. No loop here or in the
// kernels has a remainder: every buffer is padded to whole vectors, so that each number goes through the same
// operations wherever it lies, which is half of why results do not depend on a text's company.
#pragma once

#include <cstdint>
#include <cstring>

namespace hardtack {

inline constexpr int kLanes = 16;

using f32x16 = float __attribute__((vector_size(64)));
using i32x16 = std::int32_t __attribute__((vector_size(64)));
using u32x16 = std::uint32_t __attribute__((vector_size(64)));
using u16x16 = std::uint16_t __attribute__((vector_size(32)));

template <class Vector>
inline Vector load(const void* from) {  // any alignment
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Vector>
inline void store(void* to, Vector value) {
  std::memcpy(to, &value, sizeof value);
}

inline f32x16 broadcast(float value) { return f32x16{} + value; }

// Where the second is a NaN, that is the answer: it goes through to the result, where it is refused.
inline f32x16 greater_of(f32x16 a, f32x16 b) { return a > b ? a : b; }
inline f32x16 lesser_of(f32x16 a, f32x16 b) { return a < b ? a : b; }
inline f32x16 magnitude(f32x16 a) { return reinterpret_cast<f32x16>(reinterpret_cast<u32x16>(a) & 0x7fffffffu); }

/// The sum of all lanes, halves added to halves: an order that is always the same.
inline float sum(f32x16 a) {
  float lane[kLanes];
  store(lane, a);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

inline float greatest(f32x16 a) {
  float lane[kLanes];
  store(lane, a);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] = lane[i] > lane[i + width] ? lane[i] : lane[i + width];
  return lane[0];
}

/// bf16, the upper half of an f32, to nearest and ties to even; what is too small for a normal number becomes 0, as
/// VCVTNEPS2BF16 does it. A NaN stays one.
inline u16x16 to_bf16(f32x16 value) {
  const u32x16 bits = reinterpret_cast<u32x16>(value);
  const u32x16 size = bits & 0x7fffffffu;
  const u32x16 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const u32x16 quiet = (bits >> 16) | 0x40u;
  const u32x16 nothing = (bits >> 16) & 0x8000u;
  return __builtin_convertvector(size > 0x7f800000u ? quiet : size < 0x00800000u ? nothing : rounded, u16x16);
}

inline f32x16 from_bf16(u16x16 value) {
  return reinterpret_cast<f32x16>(__builtin_convertvector(value, u32x16) << 16);
}

/// Coefficients, the lowest power first.
template <int count>
inline f32x16 horner(const float (&coefficient)[count], f32x16 x) {
  f32x16 value = broadcast(coefficient[count - 1]);
  for (int power = count - 2; power >= 0; --power) value = value * x + coefficient[power];
  return value;
}

/// 2^x for x ≤ 0, relative error below 3e-6 (bf16, which it is rounded to, has 4e-3); 0 below -126.
///
/// x = n + f with f in [-½, ½]: adding 1.5·2²³ leaves n in the low bits of a float, from where it is shifted into the
/// exponent. derive.py fits the polynomial.
inline f32x16 exp2_of_negative(f32x16 x) {
  constexpr float exp2_fraction[] = {9.99999285e-01f, 6.93121791e-01f, 2.40247443e-01f, 5.59178628e-02f,
                                     9.57010221e-03f};
  constexpr float to_low_bits = 12582912.0f;  // 1.5 · 2²³
  const f32x16 clamped = greater_of(broadcast(-126.0f), x);
  const f32x16 shifted = clamped + to_low_bits;
  const f32x16 fraction = horner(exp2_fraction, clamped - (shifted - to_low_bits));
  const u32x16 exponent = (reinterpret_cast<u32x16>(shifted) - 0x4b400000u) << 23;
  const f32x16 value = reinterpret_cast<f32x16>(reinterpret_cast<u32x16>(fraction) + exponent);
  return x < -126.0f ? f32x16{} : x == x ? value : x;
}

enum class Activation : std::int32_t { gelu_erf = 0, gelu_tanh = 1 };

/// GELU = max(x, 0) - tail(|x|), where tail(t) = t·Φ(-t) is smooth from 0 on: a polynomial of degree 7 on [0, 4], held
/// at its last value from there. Greatest error 2.0e-4, at 4; derive.py fits both kinds of Φ.
template <Activation kind>
inline f32x16 gelu(f32x16 x) {
  constexpr float gelu_erf_tail[] = {5.00493824e-01f,  -3.90828162e-01f, -4.27940339e-02f, 1.39960989e-01f,
                                     -5.75631261e-02f, 9.92110465e-03f,  -6.42833998e-04f};
  constexpr float gelu_tanh_tail[] = {5.00715792e-01f,  -3.92709285e-01f, -3.83151919e-02f, 1.36008456e-01f,
                                      -5.59854023e-02f, 9.62831732e-03f,  -6.22202468e-04f};
  const f32x16 t = lesser_of(broadcast(4.0f), magnitude(x));
  const f32x16 tail = t * horner(kind == Activation::gelu_erf ? gelu_erf_tail : gelu_tanh_tail, t);
  return greater_of(f32x16{}, x) - tail;
}

/// One step of the transposition of 16 × 16: swaps the squares of side `far` that lie off the diagonal.
template <int far>
inline void exchange(u32x16 (&row)[kLanes]) {
  u32x16 upper, lower;  // which lanes of the pair (a, b) make the upper row and the lower one
  for (int i = 0; i < kLanes; ++i) {
    upper[i] = static_cast<std::uint32_t>(i & far ? kLanes + i - far : i);
    lower[i] = static_cast<std::uint32_t>(i & far ? kLanes + i : i + far);
  }
  for (int i = 0; i < kLanes; ++i) {
    if (i & far) continue;
    const u32x16 a = row[i], b = row[i + far];
    row[i] = __builtin_shuffle(a, b, upper);
    row[i + far] = __builtin_shuffle(a, b, lower);
  }
}

inline void transpose(u32x16 (&row)[kLanes]) {
  exchange<8>(row);
  exchange<4>(row);
  exchange<2>(row);
  exchange<1>(row);
}

}  // namespace hardtack
