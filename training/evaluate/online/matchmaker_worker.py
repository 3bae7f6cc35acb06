"""Runs pymatchmaker's online time warping on pairs of embeddings, in whatever environment has it. Imports nothing of ours.

    python matchmaker_worker.py PAIRS.npz ANSWERS.npz

In: `rate_hz`, and for pair number i `reference_i` (N, D) and `stream_i` (T, D), float32. Out: for `arzt` and `dixon`,
`<name>_i` (T,) reference tick per stream tick and `<name>_step_s` the seconds of every step.
"""

import sys
import time

import numpy as np

sys.modules["fluidsynth"] = None  # type: ignore[assignment]  # else its dependency partitura downloads sounds on import

from matchmaker.dp.oltw_arzt import OnlineTimeWarpingArztFrame  # noqa: E402
from matchmaker.dp.oltw_dixon import OnlineTimeWarpingDixonFrame  # noqa: E402

FOLLOWERS = {"arzt": OnlineTimeWarpingArztFrame, "dixon": OnlineTimeWarpingDixonFrame}


def follow(kind, reference, stream, rate_hz):
    ticks = np.arange(len(reference), dtype=np.float32)
    window_s = min(10.0, len(reference) / rate_hz)
    follower = FOLLOWERS[kind](
        reference,
        ticks,
        frame_rate=rate_hz,
        window_size=window_s,
        ref_frame_to_beat=ticks,
        distance_func="Euclidean" if kind == "arzt" else "euclidean",
    )
    positions, seconds = np.zeros(len(stream)), np.zeros(len(stream))
    for t, seen in enumerate(stream):
        begun = time.perf_counter()
        follower(seen, t / rate_hz)
        seconds[t] = time.perf_counter() - begun
        positions[t] = follower.get_current_position()
    return positions, seconds


def main() -> None:
    with np.load(sys.argv[1]) as pairs:
        rate_hz = float(pairs["rate_hz"])
        count = sum(name.startswith("stream_") for name in pairs.files)
        answers = {}
        for kind in FOLLOWERS:
            steps = []
            for i in range(count):
                positions, seconds = follow(kind, pairs[f"reference_{i}"], pairs[f"stream_{i}"], rate_hz)
                answers[f"{kind}_{i}"] = positions
                steps.append(seconds)
            answers[f"{kind}_step_s"] = np.concatenate(steps)
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    main()
