"""Where the constants of vectors.h come from: the polynomials, how they are fitted, and how far they are off.

``python native/derive.py`` prints them. Each fit is for the least greatest error (Lawson's iteration: least squares,
weighted more and more where the error is largest); a test holds the header to what is printed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAIL = 4.0
"""From here on the fit is held at its last value; t·Φ(-t) is 1.3e-4 there, less than the fit is off elsewhere."""


def fit(target: Floats, basis: Floats, weight: Floats, rounds: int = 2000) -> Floats:
    """Coefficients that make the greatest ``weight · |basis @ c - target|`` small: ``(n,)``, ``(n, k)`` → ``(k,)``."""
    share = np.full(len(target), 1.0 / len(target))
    best, least = np.zeros(basis.shape[1]), math.inf
    for _ in range(rounds):
        root = np.sqrt(share) * weight
        found = np.linalg.lstsq(basis * root[:, None], target * root, rcond=None)[0]
        error = weight * np.abs(basis @ found - target)
        if error.max() < least:
            best, least = found, float(error.max())
        share *= error
        share /= share.sum()
    return best


def nodes(low: float, high: float, count: int = 1201) -> Floats:
    """Chebyshev's points: dense at both ends, where a polynomial errs most."""
    return low + (high - low) * (1 - np.cos(np.linspace(0, math.pi, count))) / 2


def gelu_tail(below: Callable[[Floats], Floats]) -> Floats:
    """``t · below(t)`` in [0, TAIL] as c1·t + … + c7·t⁷, ``below(t)`` being the normal curve's share below -t.

    GELU is max(x, 0) minus this at the size of x: what is not a straight line, smooth from 0 on and at most 0.17.
    """
    t = nodes(0, TAIL)
    return fit(t * below(t), np.stack([t**power for power in range(1, 8)], 1), np.ones_like(t))


def below_erf(t: Floats) -> Floats:
    """Φ(-t)."""
    return np.array([math.erfc(value / math.sqrt(2)) / 2 for value in t])


def below_tanh(t: Floats) -> Floats:
    """What ``gelu_new`` puts in Φ(-t)'s place: (1 - tanh(√(2/π)·(t + 0.044715·t³))) / 2."""
    return (1 - np.tanh(math.sqrt(2 / math.pi) * (t + 0.044715 * t**3))) / 2


def exp2_fraction() -> Floats:
    """2^f for f in [-½, ½] as c0 + … + c4·f⁴, fitted for the relative error."""
    f = nodes(-0.5, 0.5)
    return fit(np.exp2(f), np.stack([f**power for power in range(5)], 1), 1 / np.exp2(f))


def constants() -> dict[str, list[str]]:
    """Name → C++ literals, the lowest power first, as vectors.h has them."""
    fits = {
        "gelu_erf_tail": gelu_tail(below_erf),
        "gelu_tanh_tail": gelu_tail(below_tanh),
        "exp2_fraction": exp2_fraction(),
    }
    return {name: [f"{np.float32(value):.8e}f" for value in values] for name, values in fits.items()}


def horner(values: Sequence[float], x: Floats, first: int) -> Floats:
    """A polynomial whose lowest power is ``first``."""
    made: Floats = np.polynomial.Polynomial(values)(x) * x**first
    return made


def main() -> None:
    """Print the constants and their errors."""
    for name, literals in constants().items():
        print(f"{name}: {', '.join(literals)}")
        values = [float(literal[:-1]) for literal in literals]
        if name == "exp2_fraction":
            f = np.linspace(-0.5, 0.5, 20001)
            print(f"  greatest relative error {np.abs(horner(values, f, 0) / np.exp2(f) - 1).max():.2e}")
        else:
            below = below_erf if "erf" in name else below_tanh
            t = np.linspace(0, 8, 40001)
            made = horner(values, np.minimum(t, TAIL), 1)
            print(f"  greatest error {np.abs(made - t * below(t)).max():.2e}")


if __name__ == "__main__":
    main()
