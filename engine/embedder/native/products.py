"""Matrix products of a few rows with a resident matrix, near the processor's peak.

BLAS packs both matrices anew at every call, which costs more than a product of nine rows. Here the weights are packed
once, in strips of 96 columns, and a tile of the result stays in registers while it is summed up: 9 rows × 48 columns
are 27 of the 32 vector registers of AVX-512, 6 rows × 16 columns 12 of the 16 of AVX2 (LLVM splits a vector in two).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 16
"""Numbers in one vector; all padded sizes are multiples of it."""
STRIP = 96
"""Columns of a packed strip."""
ROWS, _WIDE = (9, 3) if binding.get_host_cpu_features().get("avx512f") else (6, 1)
"""Rows of a tile, and vectors of its columns. Buffers have ROWS more rows than they use: the last tile may hang over."""


def _address(typing, array):
    """Where the first number of an array lies. Whoever calls keeps the array alive."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


address: Any = intrinsic(_address)
_SINGLE, _INTEGER = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_SINGLE, LANES)


class _Body:
    """Writes LLVM code: addresses of float32 in and out of vectors."""

    def __init__(self, function: Any) -> None:
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    def place(self, base: Any, numbers: Any, kind: Any = _VECTOR) -> Any:
        at = self.builder.add(base, self.builder.shl(numbers, ir.Constant(_INTEGER, 2)))
        return self.builder.inttoptr(at, kind.as_pointer())

    def load(self, base: Any, numbers: Any) -> Any:
        return self.builder.load(self.place(base, numbers), align=4)

    def broadcast(self, base: Any, numbers: Any) -> Any:
        nothing, zero = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        number = self.builder.load(self.place(base, numbers, _SINGLE))
        first = self.builder.insert_element(nothing, number, zero)
        return self.builder.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def add_product(self, total: Any, a: Any, b: Any) -> None:
        """total += a · b, which LLVM makes one instruction where there is one."""
        product = self.builder.fmul(a, b, flags=("contract",))
        self.builder.store(self.builder.fadd(self.builder.load(total), product, flags=("contract",)), total)


def _never_inlined(name: str, arguments: int, write: Callable[[Any], None]) -> Any:
    """An intrinsic of int64 arguments that calls one function per module, whose long code is there once."""

    def define(module: Any) -> Any:
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INTEGER] * arguments), name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        write(function)
        return function

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(define(builder.module), args[0] if arguments == 1 else cgutils.unpack_tuple(builder, args[0]))
        return context.get_dummy_value()

    @intrinsic
    def call(typing, numbers):
        return types.void(types.UniTuple(types.int64, arguments)), generate

    return call


def make_tile(rows: int, vectors: int) -> Any:
    """Compiles to c[rows, 16 · vectors] = start + a[rows, k] @ w[k, 16 · vectors], all sums in registers.

    Takes (a, its row stride, k, w, its row stride, start, its row stride, c, its row stride): matrices are addresses of
    float32, strides count numbers. `start` may be `c` itself, or a bias with stride 0.
    """

    def write(function: Any) -> None:
        a, a_stride, k, w, w_stride, start, start_stride, c, c_stride = function.args
        body = _Body(function)
        builder = body.builder

        def cell(stride: Any, row: int, index: int) -> Any:
            return builder.add(builder.mul(stride, ir.Constant(_INTEGER, row)), ir.Constant(_INTEGER, LANES * index))

        sums = {(row, i): cgutils.alloca_once(builder, _VECTOR) for row in range(rows) for i in range(vectors)}
        for (row, i), total in sums.items():
            builder.store(body.load(start, cell(start_stride, row, i)), total)
        with cgutils.for_range(builder, k) as loop:
            w_row = builder.mul(loop.index, w_stride)
            columns = [body.load(w, builder.add(w_row, ir.Constant(_INTEGER, LANES * i))) for i in range(vectors)]
            factors = [body.broadcast(a, builder.add(cell(a_stride, row, 0), loop.index)) for row in range(rows)]
            for (row, i), total in sums.items():
                body.add_product(total, factors[row], columns[i])
        for (row, i), total in sums.items():
            builder.store(builder.load(total), body.place(c, cell(c_stride, row, i)), align=4)
        builder.ret_void()

    return _never_inlined(f"lockstep_tile_{rows}x{vectors}", 9, write)


def make_picture_tile(vectors: int) -> Any:
    """Compiles to c[16 · vectors] += Σ values[row, column] · w[row, column] over the part of a picture that is drawn.

    Takes (values, columns, spans, first row, last row, left, right, w, w's row stride, w's pixel stride, c): of each row
    from first to last (not included), the columns between spans[row] (two int64) that lie between left and right.
    """

    def write(function: Any) -> None:
        values, columns, spans, first, last, left, right, w, w_row, w_pixel, c = function.args
        body = _Body(function)
        builder = body.builder
        at = [ir.Constant(_INTEGER, LANES * i) for i in range(vectors)]
        sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)]
        for total, offset in zip(sums, at, strict=True):
            builder.store(body.load(c, offset), total)
        with cgutils.for_range(builder, last, first) as rows:
            span = builder.inttoptr(
                builder.add(spans, builder.shl(rows.index, ir.Constant(_INTEGER, 4))), _INTEGER.as_pointer()
            )
            low = builder.load(span)
            high = builder.load(builder.gep(span, [ir.Constant(_INTEGER, 1)]))
            low = builder.select(builder.icmp_signed("<", low, left), left, low)
            high = builder.select(builder.icmp_signed(">", high, right), right, high)
            with cgutils.for_range(builder, high, low) as pixels:
                value = body.broadcast(values, builder.add(builder.mul(rows.index, columns), pixels.index))
                weight = builder.add(builder.mul(rows.index, w_row), builder.mul(pixels.index, w_pixel))
                for total, offset in zip(sums, at, strict=True):
                    body.add_product(total, value, body.load(w, builder.add(weight, offset)))
        for total, offset in zip(sums, at, strict=True):
            builder.store(builder.load(total), body.place(c, offset), align=4)
        builder.ret_void()

    return _never_inlined(f"lockstep_picture_{vectors}", 11, write)


_tile_wide, _tile_narrow, _row_6, _row_1 = make_tile(ROWS, _WIDE), make_tile(ROWS, 1), make_tile(1, 6), make_tile(1, 1)
_picture_6, _picture_1 = make_picture_tile(6), make_picture_tile(1)


@numba.njit(nogil=True, error_model="numpy")
def product(a, a_stride, m, k, w, w_stride, w_strip, n, start, start_stride, c, c_stride):
    """c[m, n] = start + a[m, k] @ w[k, n]; n a multiple of 16. Addresses and row strides, as for a tile.

    `w_strip`: how many numbers apart two strips of 96 columns of w are: 96 in a plain matrix, 96 · k in a packed one.
    More than a third of a tile's rows are computed as a whole tile: buffers of a and c must reach so far.
    """
    for left in range(0, n, STRIP):
        strip, width = w + 4 * (left // STRIP * w_strip), min(STRIP, n - left)
        row = 0
        while m - row > ROWS // 3:
            column = 0
            while width - column >= _WIDE * LANES:
                _tile_wide((
                    a + 4 * row * a_stride, a_stride, k, strip + 4 * column, w_stride,
                    start + 4 * (row * start_stride + left + column), start_stride,
                    c + 4 * (row * c_stride + left + column), c_stride,
                ))  # fmt: skip
                column += _WIDE * LANES
            while column < width:
                _tile_narrow((
                    a + 4 * row * a_stride, a_stride, k, strip + 4 * column, w_stride,
                    start + 4 * (row * start_stride + left + column), start_stride,
                    c + 4 * (row * c_stride + left + column), c_stride,
                ))  # fmt: skip
                column += LANES
            row += ROWS
        while row < m:
            product_of_row(
                a + 4 * row * a_stride, k, strip, w_stride, width, start + 4 * (row * start_stride + left),
                c + 4 * (row * c_stride + left),
            )  # fmt: skip
            row += 1


@numba.njit(nogil=True, error_model="numpy")
def product_of_row(a, k, w, w_stride, n, start, c):
    """c[n] = start + a[k] @ w[k, n] of a plain matrix; n a multiple of 16."""
    column = 0
    while n - column >= STRIP:
        _row_6((a, 0, k, w + 4 * column, w_stride, start + 4 * column, 0, c + 4 * column, 0))
        column += STRIP
    while column < n:
        _row_1((a, 0, k, w + 4 * column, w_stride, start + 4 * column, 0, c + 4 * column, 0))
        column += LANES


@numba.njit(nogil=True, error_model="numpy")
def product_of_picture(values, columns, spans, first, last, left, right, w, w_row, n, c):
    """c[n] += the drawn part of a picture times its weights (…, n); see `make_picture_tile`. n a multiple of 16."""
    column = 0
    while n - column >= STRIP:
        _picture_6((values, columns, spans, first, last, left, right, w + 4 * column, w_row, n, c + 4 * column))
        column += STRIP
    while column < n:
        _picture_1((values, columns, spans, first, last, left, right, w + 4 * column, w_row, n, c + 4 * column))
        column += LANES


def padded(size: int) -> int:
    """The next multiple of 16."""
    return -(-size // LANES) * LANES


def pack(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, N) → flat strips of 96 columns, the last one filled up with zeros."""
    k, n = matrix.shape
    strips = -(-n // STRIP)
    wide = np.zeros((k, strips * STRIP), np.float32)
    wide[:, :n] = matrix
    return np.ascontiguousarray(wide.reshape(k, strips, STRIP).swapaxes(0, 1)).ravel()
