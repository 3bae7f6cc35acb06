"""Rendered workers as the real pose estimator sees them: its own errors, where `stations.py` can only imitate them.

    python -m training.datasets.station_tracks FOLDER --workers 64 [--mistakes]

draws each worker, runs MediaPipe on the pixels, and keeps one pose track a worker with its ground truth as labels.
`load_station_tracks` gives the recordings of such a folder.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from engine.errors import DataError
from engine.pose.extraction import extract
from engine.pose.locating import open_locator
from engine.pose.opening import DEFAULT
from engine.pose.track import PoseTrack
from engine.sources.rendered import RenderedStation, StationParams, simulate
from training.datasets.base import Clip, Dataset
from training.datasets.stations import ACTION, LAYOUT, StationClips, with_mistakes

FIRST_WORKER = 50_000
"""Seeds of these workers start here: away from those of demonstrations, benchmarks and tests."""


def record_worker(worker: int, folder: Path, cycles: int, mistakes: bool) -> Path:
    """One worker's track, with `cycle`, `phase` and `progress` per frame as labels. A finished one is kept."""
    path = folder / f"worker-{worker:05d}.npz"
    if path.exists():
        return path
    params = StationParams.random(FIRST_WORKER + worker, cycles=cycles)
    if mistakes:
        params = with_mistakes(params)
    source, truth = RenderedStation(params), simulate(params)
    locator = open_locator(source, layout=LAYOUT)
    track = extract(source, locator, estimator=DEFAULT)
    locator.close()
    labels = {
        "cycle": truth.cycle.tolist(),
        "phase": truth.phase.tolist(),
        "progress": np.round(truth.cycle_progress, 5).tolist(),
    }
    PoseTrack(track.poses, track.times_s, LAYOUT, track.image_size, source.name, DEFAULT, labels).save(path)
    return path


def load_station_tracks(folder: Path) -> StationClips:
    """Each track is a clip. Raises DataError: no tracks, or tracks without labels."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise DataError(
            f"no recorded workers in {folder}",
            expected="tracks (.npz)",
            found="none",
            next_step=f"Record them: python -m training.datasets.station_tracks {folder}",
        )
    clips: list[Clip] = []
    progress = {}
    for path in paths:
        track = PoseTrack.load(path)
        try:
            phase, share = (np.asarray(track.labels[name]) for name in ("phase", "progress"))
        except KeyError as error:
            raise DataError(
                f"{path} has no ground truth", expected="labels phase and progress", found=str(error)
            ) from None
        rate_hz = 1.0 / float(np.median(np.diff(track.times_s)))
        clips.append(Clip(path.stem, ACTION, "train", track.poses, LAYOUT, rate_hz, track.image_size, phase, "front"))
        progress[path.stem] = np.where(phase >= 0, share.astype(np.float64), np.nan)
    return StationClips(Dataset("station-tracks", tuple(clips)), progress)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=40)
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first worker")
    parser.add_argument("--mistakes", action="store_true", help="phases skipped, repeated or swapped in every cycle")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.processes) as pool:
        numbers = range(options.first, options.first + options.workers)
        jobs = [pool.submit(record_worker, n, options.folder, options.cycles, options.mistakes) for n in numbers]
        for done, job in enumerate(jobs, start=1):
            print(f"{done}/{len(jobs)} {job.result().name}", flush=True)


if __name__ == "__main__":
    main()
