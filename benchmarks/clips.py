"""Repetitions of real people, counted: `python -m benchmarks.clips` (three videos, in ../shared/data/clips or $LOCKSTEP_DATA).

Each reference is one repetition of one clip, and each clip is followed live, tick by tick, through the real pose estimator. Counted by
eye: docs/pose.md. The clips have no labels, so this says whether counting works at all, not how often it fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engine.aligner import Aligner
from engine.bundle import Bundle, open_bundle
from engine.embedder import open_embedder
from engine.pose.track import PoseTrack
from engine.reference_building import Demonstration, read_track, reference_from_recordings
from training.datasets.location import data_folder


@dataclass(frozen=True)
class Case:
    """A clip followed against a repetition, and how many whole ones are to be seen."""

    clip: str
    reference: str
    start_s: float
    end_s: float
    by_eye: int


CASES = (
    Case("squat_a", "squat_a", 8.9, 11.2, 12),
    Case("pushup_a", "pushup_a", 4.72, 7.16, 8),
    Case("pushup_b", "pushup_b", 3.25, 4.25, 6),
    Case("pushup_b", "pushup_b", 2.08, 3.25, 6),
    Case("pushup_a", "pushup_b", 3.25, 4.25, 8),
    Case("pushup_a", "pushup_b", 2.08, 3.25, 8),
    Case("pushup_b", "pushup_a", 4.72, 7.16, 6),
)


def count(case: Case, tracks: dict[str, PoseTrack], bundle: Bundle) -> tuple[int, int]:
    """Cycles that were told as finished, and as abandoned."""
    reference = reference_from_recordings([Demonstration(tracks[case.reference], case.start_s, case.end_s)], bundle)
    aligner = Aligner(open_embedder(bundle), reference)
    track = tracks[case.clip]
    events = []
    for time_s, pose in zip(track.times_s.tolist(), track.poses, strict=True):
        for step in aligner.push(time_s, time_s, pose):
            events += step.events
    kinds = [event.event for event in (*events, *aligner.finish())]
    return kinds.count("cycle_finished"), kinds.count("cycle_abandoned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", help="bundle, by name or folder (default: the shipped one)")
    parser.add_argument("--json", type=Path, help="write the counts here")
    options = parser.parse_args()
    folder = data_folder() / "clips"
    videos = {case.clip: folder / f"{case.clip}.mp4" for case in CASES}
    missing = [str(video) for video in videos.values() if not video.is_file()]
    if missing:
        sys.exit(f"expected the three clips in {folder}, found none of {', '.join(missing)}; set LOCKSTEP_DATA")
    bundle = open_bundle(options.bundle)
    tracks = {name: read_track(Demonstration(video), bundle.info.layout) for name, video in videos.items()}
    table = Table("clip", "reference", "by eye", "counted", "abandoned", title=f"{bundle!r}")
    records = []
    for case in CASES:
        finished, abandoned = count(case, tracks, bundle)
        reference = f"{'its own' if case.reference == case.clip else case.reference} {case.start_s}–{case.end_s} s"
        table.add_row(case.clip, reference, str(case.by_eye), str(finished), str(abandoned))
        records.append(asdict(case) | {"counted": finished, "abandoned": abandoned})
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"bundle": repr(bundle), "cases": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
