"""Heatmaps, and their embedding as patches, only where they are not zero: a joint's map is a spot in an empty picture.

A map is drawn where it exceeds `FAINTEST` of its confidence, row by row; the patch embedding then sums up weights of
just those pixels, about a sixth of the arithmetic of the full product. What is left out changes an embedding by about 1e-6.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.embedder.native.elementwise import FAST, exponential
from engine.embedder.native.products import address, product_of_picture

FAINTEST = 4e-6
REACH = math.sqrt(-math.log(FAINTEST))
"""How far a map of full confidence reaches, in units of √2·σ."""
_LEAST_CONFIDENCE = np.float32(1e-3)
_SHORTEST_LIMB = np.float32(1)
_NOWHERE = np.float32(1e6)
"""What is so far away, or not a number, is not drawn."""
_ONE, _ZERO = np.float32(1), np.float32(0)


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def draw(keypoints, starts, ends, scale, grid, maps, spans, bands, is_drawn):
    """Draws each segment of keypoints (K, 3), as `models.heatmaps` does: a joint is a segment without length.

    scale: 1 / (√2·σ). Filled: maps (C, G, columns), is_drawn (C,), spans (C, G, 2): from which column to which a row is
    drawn (equal: not at all), and bands (C, 2): from which row to which. A row without a span means nothing.
    """
    reach_px = np.float32(REACH) / scale
    for channel in range(len(starts)):
        ax, ay, a_certain = keypoints[starts[channel]]
        bx, by, b_certain = keypoints[ends[channel]]
        least = min(a_certain, b_certain)
        bands[channel], spans[channel], is_drawn[channel] = 0, 0, _ZERO
        if not (least >= _LEAST_CONFIDENCE and abs(ax) + abs(ay) + abs(bx) + abs(by) < _NOWHERE):
            continue
        is_drawn[channel] = _ONE
        dx, dy = bx - ax, by - ay
        length = np.sqrt(dx * dx + dy * dy)
        is_point = length < _SHORTEST_LIMB
        if is_point:  # drawn where it starts
            bx, by = ax, ay
        ux, uy = (_ONE, _ZERO) if is_point else (dx / length, dy / length)
        far = _ZERO if is_point else length * scale
        first = max(math.ceil(_inside(min(ay, by) - reach_px, grid)), 0)
        last = min(math.floor(_inside(max(ay, by) + reach_px, grid)), grid - 1)
        bands[channel, 0], bands[channel, 1] = first, max(first, last + 1)
        for row in range(first, last + 1):
            low, high = _across(np.float32(row), ax, ay, bx, by, reach_px, is_point)
            left = max(math.ceil(_inside(low, grid)), 0)
            right = min(math.floor(_inside(high, grid)) + 1, grid)
            if left >= right:
                continue
            spans[channel, row, 0], spans[channel, row, 1] = left, right
            y = (np.float32(row) - ay) * scale
            for column in range(maps.shape[2]):
                x = (np.float32(column) - ax) * scale
                along, aside = ux * x + uy * y, ux * y - uy * x
                beyond = along - min(max(along, _ZERO), far)
                maps[channel, row, column] = least * exponential(-aside * aside - beyond * beyond)


@numba.njit(nogil=True, inline="always")
def _inside(x, grid):
    """Far outside the grid is as good as anywhere outside it, and fits an integer."""
    return min(max(x, np.float32(-2)), np.float32(grid + 2))


@numba.njit(nogil=True, error_model="numpy")
def _across(row, ax, ay, bx, by, reach, is_point):
    """From where to where a row comes within `reach` of the segment: of its part near this row; a point's circle exactly."""
    if is_point:
        half = np.sqrt(max(reach * reach - (row - ay) * (row - ay), _ZERO))
        return ax - half, ax + half
    dy = by - ay
    begin, end = _ZERO, _ONE
    if abs(dy) > np.float32(1e-3):
        t, u = (row - reach - ay) / dy, (row + reach - ay) / dy
        begin, end = min(max(min(t, u), _ZERO), _ONE), max(min(max(t, u), _ONE), _ZERO)
    p, q = ax + begin * (bx - ax), ax + end * (bx - ax)
    return min(p, q) - reach, max(p, q) + reach


@numba.njit(nogil=True, fastmath=FAST, error_model="numpy")
def embed_patches(
    lanes, now, before, delays, maps, spans, bands, is_drawn, patch, weights, width, scratch, tokens, token_stride
):  # fmt: skip
    """Adds the patch embeddings of all channels, and of their motion, to tokens (stations · patches rows).

    now, before (B, delays): places in the memory of each lane. weights (C, 1 + delays, patch², width) flat. Channel by
    channel over all stations, so that the weights of one stay in the cache.
    """
    channels, grid, columns = spans.shape[2], spans.shape[3], maps.shape[4]
    slots, map_size, weight_size = maps.shape[1], 4 * grid * columns, 4 * patch * patch * width
    station_size = 4 * (grid // patch) ** 2 * token_stride
    moved, moved_spans = scratch
    for channel in range(channels):
        weight = address(weights) + channel * (1 + len(delays)) * weight_size
        for station in range(len(lanes)):
            lane, here = lanes[station], now[station]
            index = (lane * slots + here) * channels + channel
            _embed_map(
                address(maps) + index * map_size, columns, address(spans) + index * 16 * grid,
                bands[lane, here, channel, 0], bands[lane, here, channel, 1],
                grid, patch, weight, width, address(tokens) + station * station_size, token_stride,
            )  # fmt: skip
        for motion in range(len(delays)):
            weight += weight_size
            for station in range(len(lanes)):
                lane, here, there = lanes[station], now[station], before[station, motion]
                if is_drawn[lane, here, channel] * is_drawn[lane, there, channel] == _ZERO:
                    continue
                first, last = _subtract(
                    maps[lane, here, channel], spans[lane, here, channel], bands[lane, here, channel],
                    maps[lane, there, channel], spans[lane, there, channel], bands[lane, there, channel],
                    moved, moved_spans,
                )  # fmt: skip
                _embed_map(
                    address(moved), columns, address(moved_spans), first, last,
                    grid, patch, weight, width, address(tokens) + station * station_size, token_stride,
                )  # fmt: skip


@numba.njit(nogil=True, error_model="numpy")
def _subtract(a, a_spans, a_band, b, b_spans, b_band, out, out_spans):
    """out = a − b, of one map each; returns the first and the last row of where it is drawn."""
    first, last = _union(a_band[0], a_band[1], b_band[0], b_band[1])
    for row in range(first, last):
        has_a, has_b = a_spans[row, 0] < a_spans[row, 1], b_spans[row, 0] < b_spans[row, 1]
        out_spans[row, 0], out_spans[row, 1] = _union(
            a_spans[row, 0], a_spans[row, 1], b_spans[row, 0], b_spans[row, 1]
        )
        if has_a and has_b:
            for column in range(a.shape[1]):
                out[row, column] = a[row, column] - b[row, column]
        elif has_a:
            for column in range(a.shape[1]):
                out[row, column] = a[row, column]
        else:
            for column in range(a.shape[1]):
                out[row, column] = -b[row, column]
    return first, last


@numba.njit(nogil=True)
def _union(left, right, other_left, other_right):
    """The smallest range that holds both; an empty one counts for nothing."""
    if left == right:
        return other_left, other_right
    if other_left == other_right:
        return left, right
    return min(left, other_left), max(right, other_right)


@numba.njit(nogil=True, error_model="numpy")
def _embed_map(values, columns, spans, first, last, grid, patch, weights, width, token, token_stride):
    """Adds the embedding of each patch of one map (addresses) between its first and last row."""
    side = grid // patch
    for down in range(side):
        top, bottom = max(first, down * patch), min(last, (down + 1) * patch)
        if top >= bottom:
            continue
        for across in range(side):
            left = across * patch
            product_of_picture(
                values, columns, spans, top, bottom, left, left + patch,
                weights - 4 * (down * patch * patch + left) * width, patch * width, width,
                token + 4 * (down * side + across) * token_stride,
            )  # fmt: skip
