"""Latency of the live path, stage by stage and end to end: a rendered worker, the real pose estimator, one process."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import psutil

from engine.aligner import Aligner
from engine.bundle import Bundle
from engine.embedder import embed_sequence, open_embedder
from engine.latency import Latency
from engine.matching import open_matcher
from engine.matching.building import EmbeddedDemo, build_reference
from engine.pose.locating import Locator
from engine.pose.opening import open_estimator
from engine.reference import Reference
from engine.resample import resample_track
from engine.sources.rendered import RenderedStation, StationParams, simulate
from models import skeleton

LENGTHS = (300, 1000, 3000)
"""Reference lengths N for the matcher's scaling, ticks."""


def measure_stages(bundle: Bundle, seconds: float) -> dict[str, dict[str, float]]:
    """Stage → p50, p95, p99 ms. `frame` is from the picture in hand to the matched and judged tick; `after pose` its part.

    The reference is one cycle of the same worker, from exact joints; every frame goes through MediaPipe.
    """
    params = StationParams.random(7, cycles=2)
    demonstration = simulate(replace(params, cycles=1))
    times_s = np.arange(len(demonstration.joints)) / params.fps
    poses = resample_track(
        times_s, skeleton.convert(demonstration.joints, "body13", bundle.info.layout), bundle.info.rate_hz
    )[1]
    embedder = open_embedder(bundle)
    reference = build_reference([EmbeddedDemo("cycle", embed_sequence(embedder, poses), poses)], None, bundle)
    aligner = Aligner(embedder, reference)
    aligner.warm_up()
    latency = Latency()
    estimator = open_estimator()
    locate = Locator(estimator, layout=bundle.info.layout)
    try:
        for frame in RenderedStation(params):
            if frame.time_s > seconds:
                break
            started = time.perf_counter()
            with latency.measure("pose"):
                pose = locate(frame)
            posed = time.perf_counter()
            aligner.push(frame.time_s, 0.0, pose)
            ended = time.perf_counter()
            latency.add("after pose", 1000 * (ended - posed))
            latency.add("frame", 1000 * (ended - started))
    finally:
        estimator.close()
    own = latency.summary()
    return {"pose": own["pose"]} | aligner.latency.summary() | {"after pose": own["after pose"], "frame": own["frame"]}


def measure_matcher(bundle: Bundle, ticks: int = 300) -> dict[str, dict[str, float]]:
    """Reference length N → p50, p99 ms of one matcher step, on smooth random embeddings."""
    figures = {}
    for length in LENGTHS:
        reference = _random_reference(bundle, length)
        matcher = open_matcher(reference)
        times_ms = []
        for tick in range(ticks + 20):
            started = time.perf_counter()
            matcher.step(reference.mean[tick % length], 1 / bundle.info.rate_hz)
            times_ms.append(1000 * (time.perf_counter() - started))
        p50, p99 = np.percentile(times_ms[20:], (50, 99))
        figures[str(length)] = {"p50_ms": round(float(p50), 4), "p99_ms": round(float(p99), 4)}
    return figures


def memory_mb(bundle: Bundle, stations: int = 16) -> dict[str, float]:
    """Of a runtime with its weights, and of each station's caches, from the growth of this process."""
    process = psutil.Process()
    before = process.memory_info().rss
    embedders = [open_embedder(bundle)]
    embedders[0].step(skeleton.layout(bundle.info.layout).empty())
    loaded = process.memory_info().rss
    lanes = [embedders[0].runtime.lanes(1) for _ in range(stations)]
    for lane in lanes:
        lane.step(np.ones((1, skeleton.layout(bundle.info.layout).size, 3), np.float32))
    after = process.memory_info().rss
    return {"runtime": round((loaded - before) / 1e6, 2), "per_station": round((after - loaded) / 1e6 / stations, 3)}


def _random_reference(bundle: Bundle, length: int) -> Reference:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(length, bundle.info.embedding_dim)).astype(np.float32)
    embeddings = np.apply_along_axis(lambda x: np.convolve(x, np.ones(9) / 9, "same"), 0, steps).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    poses = np.ones((length, skeleton.layout(bundle.info.layout).size, 3), np.float32)
    return build_reference([EmbeddedDemo("random", embeddings, poses)], None, bundle)
