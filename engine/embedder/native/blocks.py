"""Transformer blocks over rows of tokens. `added` is what a block still owes to x: it is added where x is read next.

weights of a kind of blocks: (qkv, qkv bias, out, out bias, up, up bias, down, down bias), each (layers, …), packed; the
scale and shift of each norm, and the scale of the query, are in the product that follows.
"""

from __future__ import annotations

import numba
import numpy as np

from engine.embedder.native.elementwise import FAST, add_and_normalise, gelu, softmax
from engine.embedder.native.products import LANES, STRIP, address, product, product_of_row

HIDDEN = np.float32(-1e4)
"""Score of what may not be attended to."""


@numba.njit(nogil=True, error_model="numpy")
def linear(x, x_stride, rows, width, weights, biases, layer, y, y_stride):
    """y = x @ weights[layer] + biases[layer] over `rows` rows of `width`; the width of y is the padded bias's."""
    product(
        address(x), x_stride, rows, width, address(weights) + layer * weights.strides[0], STRIP, STRIP * width,
        biases.shape[1], address(biases) + layer * biases.strides[0], 0, address(y), y_stride,
    )  # fmt: skip


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def _ready(x, added, rows, width, stride, normed, qkv, qkv_stride, weights, layer):
    add_and_normalise(x, added, normed, rows, width, stride, stride)
    linear(normed, stride, rows, width, weights[0], weights[1], layer, qkv, qkv_stride)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def _finish(x, added, rows, width, hidden, stride, normed, mixed, up, weights, layer):
    """The attention's output product and the MLP; what they give is left in `added`."""
    up_stride = weights[5].shape[1]
    linear(mixed, stride, rows, width, weights[2], weights[3], layer, added, stride)
    add_and_normalise(x, added, normed, rows, width, stride, stride)
    linear(normed, stride, rows, width, weights[4], weights[5], layer, up, up_stride)
    gelu(up, rows * up_stride)
    linear(up, up_stride, rows, hidden, weights[6], weights[7], layer, added, stride)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def spatial_block(
    x, added, stations, patches, width, heads, hidden, stride, weights, layer, scratch, zeros
):  # fmt: skip
    """x (stations · patches, width): the patches of each station attend to each other."""
    normed, qkv, mixed, up, turned, scores = scratch
    rows, per_head = stations * patches, width // heads
    qkv_stride = (3 * width + LANES - 1) // LANES * LANES + LANES
    _ready(x, added, rows, width, stride, normed, qkv, qkv_stride, weights, layer)
    n, value_n = (patches + LANES - 1) // LANES * LANES, (per_head + LANES - 1) // LANES * LANES
    for station in range(stations):
        at = station * patches * qkv_stride
        query = address(qkv) + 4 * at
        for head in range(heads):
            for patch in range(patches):
                key = at + patch * qkv_stride + width + head * per_head
                for i in range(per_head):
                    turned[i * n + patch] = qkv[key + i]
            product(
                query + 4 * head * per_head, qkv_stride, patches, per_head, address(turned), n, STRIP, n,
                address(zeros), 0, address(scores) + 4 * head * patches * n, n,
            )  # fmt: skip
        softmax(scores, heads * patches, patches, n)
        for head in range(heads):  # a head's columns beyond its own are written again by the next
            product(
                address(scores) + 4 * head * patches * n, n, patches, patches,
                query + 4 * (2 * width + head * per_head), qkv_stride, STRIP, value_n,
                address(zeros), 0, address(mixed) + 4 * (station * patches * stride + head * per_head), stride,
            )  # fmt: skip
    _finish(x, added, rows, width, hidden, stride, normed, mixed, up, weights, layer)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def temporal_block(
    x, added, lanes, places, window, width, heads, hidden, stride, weights, layer, bias, keys, values, scratch, zeros
):  # fmt: skip
    """x (stations, width): each attends to its own last W ticks.

    keys (B, layers, width, W padded) and values (B, layers, W + 1, width padded): this tick's go to slot `places[station]`.
    bias (stations, heads, W padded): of each slot, HIDDEN where there is no tick yet.
    """
    normed, qkv, mixed, up, _, scores = scratch
    rows, per_head = len(lanes), width // heads
    qkv_stride = (3 * width + LANES - 1) // LANES * LANES + LANES
    _ready(x, added, rows, width, stride, normed, qkv, qkv_stride, weights, layer)
    n, value_n = bias.shape[2], (per_head + LANES - 1) // LANES * LANES
    value_stride = values.shape[3]
    for station in range(rows):
        lane, place, at = lanes[station], places[station], station * qkv_stride
        for i in range(width):
            keys[lane, layer, i, place] = qkv[at + width + i]
        for i in range(width):
            values[lane, layer, place, i] = qkv[at + 2 * width + i]
        its_keys = address(keys) + lane * keys.strides[0] + layer * keys.strides[1]
        its_values = address(values) + lane * values.strides[0] + layer * values.strides[1]
        for head in range(heads):
            product_of_row(
                address(qkv) + 4 * (at + head * per_head), per_head, its_keys + 4 * head * per_head * n, n, n,
                address(bias) + 4 * (station * heads + head) * n, address(scores) + 4 * head * n,
            )  # fmt: skip
        softmax(scores, heads, n, n)
        for head in range(heads):
            product_of_row(
                address(scores) + 4 * head * n, window, its_values + 4 * head * per_head, value_stride, value_n,
                address(zeros), address(mixed) + 4 * (station * stride + head * per_head),
            )  # fmt: skip
    _finish(x, added, rows, width, hidden, stride, normed, mixed, up, weights, layer)


@numba.njit(nogil=True, error_model="numpy")
def slot_biases(bias, table, places, seen, window):
    """bias (stations, heads, W padded) of each slot of each ring. table (heads, 2 · W): see `weights.by_slot`."""
    for station in range(len(places)):
        place, ticks = places[station], min(seen[station] + 1, window)
        for head in range(table.shape[0]):
            for slot in range(window):
                bias[station, head, slot] = table[head, slot + window - 1 - place]
            if ticks < window:
                for slot in range(window):
                    if (place - slot) % window >= ticks:
                        bias[station, head, slot] = HIDDEN
            for slot in range(window, bias.shape[2]):
                bias[station, head, slot] = HIDDEN
