"""One tick, compiled: keypoints of some stations in, their embeddings out, their memories moved on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numba
import numpy as np

from engine.embedder.native.blocks import linear, slot_biases, spatial_block, temporal_block
from engine.embedder.native.drawing import draw, embed_patches
from engine.embedder.native.elementwise import FAST, add_and_normalise, gelu
from engine.embedder.native.products import LANES


def _compiled(sources: int):
    """Numba keeps machine code on disk by what the function itself says, not by what it calls; `sources` stands for that."""

    @numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
    def step(
        keypoints, lanes, sizes, delays, segments, scale, weights, spatial, temporal, memory, clock, scratch, embeddings
    ):
        """keypoints (B, K, 3), lanes (S,) those that move on → embeddings (B, E), of these lanes.

        sizes: see `runtime.sizes`. clock (B, 2): ticks, and how many of the last W − 1 count. The tuples: see `runtime`.
        """
        _ = sources
        width, heads, hidden, window, patch, embedding_dim = sizes
        starts, ends = segments
        embed, places, by_slot, token_scale, token_shift, feature_scale, feature_shift, middle, spread = weights[:9]
        head = weights[9:]
        projects = head[0].shape[0] > 0
        maps, spans, bands, is_drawn, keys, values = memory
        x, token, added, normed, qkv, mixed, up, turned, scores, moved, bias, zeros, flat = scratch
        slots, grid, patches = maps.shape[1], spans.shape[3], len(places)
        stations = len(lanes)
        n = (width + LANES - 1) // LANES * LANES
        stride = n + LANES

        now, before = np.empty(stations, np.int64), np.empty((stations, len(delays)), np.int64)
        slot, seen = np.empty(stations, np.int64), np.empty(stations, np.int64)
        for station in range(stations):
            lane = lanes[station]
            ticks = clock[lane, 0]
            now[station], slot[station], seen[station] = ticks % slots, ticks % window, clock[lane, 1]
            for motion in range(len(delays)):
                before[station, motion] = (ticks - delays[motion]) % slots
            clock[lane, 0], clock[lane, 1] = ticks + 1, min(clock[lane, 1] + 1, window - 1)
            here = now[station]
            draw(
                keypoints[lane], starts, ends, scale, grid,
                maps[lane, here], spans[lane, here], bands[lane, here], is_drawn[lane, here],
            )  # fmt: skip
            for place in range(patches):
                at = (station * patches + place) * stride
                for i in range(width):
                    x[at + i] = places[place, i]
        embed_patches(lanes, now, before, delays, maps, spans, bands, is_drawn, patch, embed, n, moved, x, stride)
        inner = normed, qkv, mixed, up, turned, scores
        added[: stations * patches * stride] = np.float32(0)
        for layer in range(spatial[0].shape[0]):
            spatial_block(x, added, stations, patches, width, heads, hidden, stride, spatial, layer, inner, zeros)
        add_and_normalise(x, added, normed, stations * patches, width, stride, stride)
        for station in range(stations):
            to = station * stride
            for i in range(width):
                token[to + i] = np.float32(0)
            for place in range(patches):
                at = (station * patches + place) * stride
                for i in range(width):
                    token[to + i] += normed[at + i]
            for i in range(width):
                token[to + i] = token[to + i] * (np.float32(1) / np.float32(patches)) * token_scale[i] + token_shift[i]

        added[: stations * stride] = np.float32(0)
        if temporal[0].shape[0]:
            slot_biases(bias, by_slot, slot, seen, window)
        for layer in range(temporal[0].shape[0]):
            temporal_block(
                token, added, lanes, slot, window, width, heads, hidden, stride, temporal, layer, bias, keys, values,
                inner, zeros,
            )  # fmt: skip
        add_and_normalise(token, added, normed, stations, width, stride, stride)
        result, result_stride = normed, stride
        if projects:
            linear(normed, stride, stations, width, head[0], head[1], 0, mixed, stride)
            gelu(mixed, stations * stride)
            result, result_stride = flat, head[3].shape[1]
            linear(mixed, stride, stations, width, head[2], head[3], 0, result, result_stride)
        for station in range(stations):
            lane, at = lanes[station], station * result_stride
            total = np.float32(0)
            for i in range(embedding_dim):
                value = result[at + i]
                if not projects:
                    value = value * feature_scale[i] + feature_shift[i]
                value = (value - middle[i]) * spread[i]
                embeddings[lane, i] = value
                total += value * value
            length = max(np.sqrt(total), np.float32(1e-12))
            for i in range(embedding_dim):
                embeddings[lane, i] /= length

    return step


def _sources() -> int:
    compiled = ("products", "elementwise", "drawing", "blocks", "step")
    digest = hashlib.sha256(b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in compiled))
    return int.from_bytes(digest.digest()[:7], "little")


SOURCES = _sources()
step = _compiled(SOURCES)
