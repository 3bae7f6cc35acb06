"""Step time and memory of the matcher against its peers, on one thread: `python -m benchmarks.matcher`.

Every follower gets the same synthetic embeddings (D = 128, a smooth closed path; the stream follows it with noise, pauses and
jumps). pymatchmaker takes part where a Python that has it is named with --matchmaker.
"""

from __future__ import annotations

import os
from functools import partial

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse  # noqa: E402
import gc  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.ndimage import gaussian_filter1d  # noqa: E402

from engine.matching.emission import EmissionFit, unit  # noqa: E402
from engine.matching.hmm import SwitchingMatcher  # noqa: E402
from engine.reference import Phase, Reference, ReferenceInfo  # noqa: E402
from engine.retakes import MOST_ROWS  # noqa: E402
from training.evaluate.records import origin, write_record  # noqa: E402

SIZE, RATE_HZ = 128, 20.0
TAKES = 5
"""A demonstration and its retakes, as a reference of one recording holds them unless it is long (`engine.retakes`)."""
Array = NDArray[np.float32]


def make_reference(ticks: int, rng: np.random.Generator) -> Reference:
    work = unit(gaussian_filter1d(rng.normal(size=(ticks, SIZE)), 6, axis=0, mode="wrap"))
    length_s = ticks / RATE_HZ / 5
    phases = tuple(Phase(name=f"p{i}", start_s=i * length_s, end_s=(i + 1) * length_s) for i in range(5))
    info = ReferenceInfo(
        bundle="synthetic",
        bundle_sha256="0" * 64,
        layout="body13",
        rate_hz=RATE_HZ,
        phases=phases,
        durations_s=((length_s,) * 5,),
        demonstrations=("synthetic",),
        emission=EmissionFit(12.0, -6.0, 0.4).as_json(),
    )
    count = TAKES if TAKES * ticks <= MOST_ROWS else 1
    takes = unit(work + rng.normal(scale=0.02, size=(count, ticks, SIZE)))
    return Reference(info, work, np.zeros(ticks, np.float32), np.zeros((ticks, 13, 3), np.float32), takes)


def make_stream(reference: Reference, ticks: int, rng: np.random.Generator) -> Array:
    pace = np.where(rng.random(ticks) < 0.1, 0.0, np.exp(rng.normal(0, 0.4, ticks)))
    jumps = np.where(rng.random(ticks) < 0.005, rng.integers(0, len(reference), ticks), 0)
    positions = np.cumsum(pace + jumps).astype(int) % len(reference)
    return unit(reference.mean[positions] + rng.normal(scale=0.05, size=(ticks, SIZE)))


def timed(step: Callable[[Array], Any], stream: Array) -> dict[str, float]:
    """Percentiles of processor time per step: on a shared machine, time on the clock measures the neighbours."""
    for seen in stream[:50]:
        step(seen)
    taken = np.empty(len(stream))
    gc.disable()
    for t, seen in enumerate(stream):
        begun = time.thread_time_ns()
        step(seen)
        taken[t] = time.thread_time_ns() - begun
    gc.enable()
    return {f"p{q}_ms": float(np.percentile(taken, q) / 1e6) for q in (50, 95, 99)}


def peers(reference: Reference) -> dict[str, Callable[[Array], Any]]:
    work = np.ascontiguousarray(reference.mean)
    total = np.full(len(work), np.inf)

    def spring(seen: Array) -> int:
        """One column of subsequence DTW, vectorised: a path may begin at any tick."""
        cost = 1.0 - work @ seen
        before = np.minimum(total, np.append(0.0, total[:-1]))
        sums = np.cumsum(cost)
        total[:] = np.minimum.accumulate(before - np.append(0.0, sums[:-1])) + sums
        return int(total.argmin())

    return {"argmax": lambda seen: int((work @ seen).argmax()), "spring": spring}


def matchmaker(python: str, reference: Reference, stream: Array) -> dict[str, dict[str, float]]:
    worker = Path(__file__).parents[1] / "training" / "evaluate" / "online" / "matchmaker_worker.py"
    with tempfile.TemporaryDirectory() as folder:
        pairs, answers = Path(folder) / "pairs.npz", Path(folder) / "answers.npz"
        np.savez(pairs, rate_hz=RATE_HZ, reference_0=reference.mean, stream_0=stream)
        subprocess.run([python, str(worker), str(pairs), str(answers)], check=True, capture_output=True)
        with np.load(answers) as file:
            return {
                f"oltw_{kind}": {
                    f"p{q}_ms": float(np.percentile(file[f"{kind}_step_s"], q) * 1000) for q in (50, 95, 99)
                }
                for kind in ("arzt", "dixon")
            }


def long_run(ticks: int, rng: np.random.Generator) -> dict[str, float]:
    """Memory growth and the sum of the belief over many ticks at N = 300."""
    reference = make_reference(300, rng)
    matcher, stream = SwitchingMatcher(reference), make_stream(reference, 5000, rng)
    process = psutil.Process()
    for seen in stream:
        matcher.step(seen, 1 / RATE_HZ)
    before, worst = process.memory_info().rss, 0.0
    for t in range(ticks):
        matcher.step(stream[t % len(stream)], 1 / RATE_HZ)
        if t % 5000 == 0:
            state = matcher.state()
            total = float(state["on"].sum(dtype=np.float64) + state["off"].sum(dtype=np.float64) + state["numbers"][0])
            worst = max(worst, abs(total - 1.0))
    return {"ticks": ticks, "growth_mib": (process.memory_info().rss - before) / 2**20, "worst_sum_error": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--long", type=int, default=0, help="also run this many ticks and watch memory")
    parser.add_argument("--matchmaker", help="Python that has pymatchmaker")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write every figure here, for docs/results/online/")
    arguments = parser.parse_args()
    record: dict[str, Any] = {
        **origin("python -m benchmarks.matcher"),
        "seed": arguments.seed,
        "step": {},
        "memory_mib": {},
    }
    for ticks in (300, 1000, 3000):
        rng = np.random.default_rng([arguments.seed, ticks])
        reference = make_reference(ticks, rng)
        stream = make_stream(reference, arguments.steps, rng)
        process = psutil.Process()
        gc.collect()
        before = process.memory_info().rss
        matcher = SwitchingMatcher(reference)
        pose = np.concatenate([rng.normal(size=(13, 2)), np.ones((13, 1))], axis=1)
        rows = {"lockstep": timed(partial(matcher.step, dt_s=1 / RATE_HZ, pose=pose), stream)}
        record["memory_mib"][ticks] = {
            "grown": (process.memory_info().rss - before) / 2**20,
            "arrays": matcher.nbytes / 2**20,
        }
        for name, step in peers(reference).items():
            rows[name] = timed(step, stream)
        if arguments.matchmaker:
            rows |= matchmaker(arguments.matchmaker, reference, stream[:400])
        record["step"][ticks] = rows
        for name, figures in rows.items():
            print(f"N={ticks:5d}  {name:11s} " + "  ".join(f"{k} {v:8.4f}" for k, v in figures.items()))
        print(
            f"N={ticks:5d}  memory      "
            + "  ".join(f"{k} {v:.2f} MiB" for k, v in record["memory_mib"][ticks].items())
        )
    if arguments.long:
        record["long"] = long_run(arguments.long, np.random.default_rng(arguments.seed))
        print(record["long"])
    if arguments.json:
        write_record(arguments.json, record)


if __name__ == "__main__":
    main()
