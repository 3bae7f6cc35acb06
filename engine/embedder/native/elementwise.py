"""What happens between products, written so that LLVM turns each loop into vector instructions (libm's exp stops it)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""No promise about the order of sums; infinities and values that are not numbers keep their meaning."""
NORM_EPSILON = np.float32(1e-5)
"""As torch.nn.LayerNorm."""
_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)


def _bits_of_exponent(typing, exponent):
    """2^exponent as float32, for an int32 between −126 and 127: the bits of a float are its exponent."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(32)
        bits = builder.shl(builder.add(args[0], ir.Constant(whole, 127)), ir.Constant(whole, 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), generate


_power_of_two: Any = intrinsic(_bits_of_exponent)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def exponential(x):
    """e^x in float32, relative error 2e-7; 0 below −87. Range reduction and polynomial of Cephes' expf (Moshier)."""
    inside = max(min(x, np.float32(88)), np.float32(-87))
    n = np.floor(inside * _LOG2_E + _HALF)
    r = inside - n * _LN2_HIGH - n * _LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    y = (p * r * r + r + _ONE) * _power_of_two(np.int32(n))
    return y if x > np.float32(-87) else np.float32(0)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def gelu(x, count):
    """x[:count] · Φ(·) in place, with the error function of Abramowitz and Stegun 7.1.26 (error 1.5e-7)."""
    for i in range(count):
        z = np.float32(abs(x[i])) * np.float32(0.70710678)
        t = _ONE / (_ONE + np.float32(0.3275911) * z)
        p = np.float32(1.061405429)
        p = p * t - np.float32(1.453152027)
        p = p * t + np.float32(1.421413741)
        p = p * t - np.float32(0.284496736)
        p = p * t + np.float32(0.254829592)
        tail = p * t * exponential(-z * z) * _HALF  # Φ(−|x|)
        x[i] = x[i] * (tail if x[i] < 0 else _ONE - tail)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def add_and_normalise(x, added, y, rows, width, x_stride, y_stride):
    """x += added, then y = (x − mean) / deviation of each row of `width`; scale and shift belong to the product that follows."""
    for row in range(rows):
        at, to = row * x_stride, row * y_stride
        total = np.float32(0)
        for i in range(width):
            x[at + i] += added[at + i]
            total += x[at + i]
        mean = total / np.float32(width)
        squares = np.float32(0)
        for i in range(width):
            squares += (x[at + i] - mean) * (x[at + i] - mean)
        scale = _ONE / np.sqrt(squares / np.float32(width) + NORM_EPSILON)
        for i in range(width):
            y[to + i] = (x[at + i] - mean) * scale


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def softmax(scores, rows, count, stride):
    """In place, over the first `count` of each row."""
    for row in range(rows):
        at = row * stride
        most = scores[at]
        for i in range(at, at + count):
            most = max(most, scores[i])
        for i in range(at, at + count):
            scores[i] -= most
        for i in range(at + count, at + stride):
            scores[i] = np.float32(-100)
    for i in range(rows * stride):
        scores[i] = exponential(scores[i])
    for row in range(rows):
        at = row * stride
        total = np.float32(0)
        for i in range(at, at + count):
            total += scores[i]
        scale = _ONE / total
        for i in range(at, at + count):
            scores[i] *= scale
