// The tiles: eight registers of 16 rows × 64 bytes, and the one instruction that multiplies two of them into a third.
//
//        A, 16 × 32 bf16              B, 32 × 16 bf16, rows in pairs            C, 16 × 16 f32
//
//     row  k → 0  1  2 … 31       pair  n → 0      1          15           row  n → 0  1 … 15
//       0      a  a  a … a          0      b0 b1  b0 b1  …  b0 b1            0      c  c … c
//       1      a  a  a … a          1      b2 b3  b2 b3  …  b2 b3            1      c  c … c
//       …                           …                                        …
//      15      a  a  a … a         15      b30 b31          b30 b31         15      c  c … c
//
//     dot<C, A, B>:  C[m][n] += Σ_k A[m][k] · B[k][n], two k at a time
//
// All eight are configured to their full size once; what is shorter is padded in memory. Every operand is kept as 16 rows
// of 64 bytes that follow each other, 1 KB, so that a load is 16 whole cache lines.
#pragma once

namespace hardtack {

inline constexpr int kTileRows = 16;
inline constexpr int kRowBytes = 64;
inline constexpr int kTileBytes = kTileRows * kRowBytes;

}  // namespace hardtack
