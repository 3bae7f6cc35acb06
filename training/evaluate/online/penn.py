"""Penn Action as streams (`training.evaluate.streams`): phase accuracy with one and with five labelled references.

    training clips ─draw─► references          validation clips ─compose─► streams ─follow─► phase per tick

The tuning split (`training.evaluate.probe.is_tuning`, a fifth of the *training* clips) served for choosing parameters; what is
reported comes from validation clips.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.errors import DataError
from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.hmm import SwitchingMatcher
from engine.reference import Reference
from training.datasets.base import Clip, Dataset
from training.evaluate.online import recordings, scores
from training.evaluate.online.peers import PEERS
from training.evaluate.online.recordings import Recording
from training.evaluate.probe import is_tuning
from training.evaluate.streams import REPETITIVE, Stream, compose

CONDITIONS = {"one_reference": 1, "five_references": 5}
MATCHMAKER_STREAMS = 2
"""Per action and condition: its Dixon variant takes milliseconds a tick, so it follows these only (as does nobody else)."""
STREAM_PEERS = {name: (peer, "lockstep") for name, peer in PEERS.items()} | {
    "dtw_keypoints": (PEERS["dtw"], "keypoints")
}
"""Peer and the space in which it follows. DTW in both: what the design notes measured was DTW of raw keypoints."""
WORKER = Path(__file__).with_name("matchmaker_worker.py")


@dataclass(frozen=True)
class Followed:
    """A stream on ticks with its truth, and its embeddings in both spaces."""

    stream: Stream
    newest: NDArray[np.int64]
    spaces: dict[str, NDArray[np.float32]]

    @property
    def phases(self) -> NDArray[np.int64]:
        assert self.stream.phases is not None
        return self.stream.phases[self.newest]


@dataclass(frozen=True)
class ActionTask:
    name: str
    streams: list[Followed]
    draws: list[list[dict[str, Recording]]]
    """Per draw five references, each in both spaces."""

    @property
    def cyclic(self) -> bool:
        return self.name in REPETITIVE


def prepare(
    dataset: Dataset,
    bundle: Bundle,
    seed: int,
    draws: int,
    most_streams: int,
    split: Literal["test", "tuning"] = "test",
    actions: Sequence[str] | None = None,
) -> Iterator[ActionTask]:
    """One task per labelled action. Raises DataError if there is none."""
    found = False
    for name in actions or dataset.actions:
        library = dataset.select(action=name, split="train", labelled=True)
        judged = dataset.select(action=name, split="val", labelled=True)
        if split == "tuning":
            judged = tuple(clip for clip in library if is_tuning(clip))
            library = tuple(clip for clip in library if not is_tuning(clip))
        library = tuple(clip for clip in library if _moves(clip))
        if not library or not judged:
            continue
        found = True
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        chosen = sorted(rng.choice(len(judged), min(most_streams, len(judged)), replace=False).tolist())
        streams = [stream for i, stream in enumerate(compose(judged, seed)) if i in set(chosen)]
        picks = [rng.choice(len(library), min(5, len(library)), replace=False).tolist() for _ in range(draws)]
        yield _task(name, streams, library, picks, bundle)
    if not found:
        raise DataError(
            "nothing to follow", expected="labelled clips in both splits", found="none", next_step="Correct --data."
        )


def _moves(clip: Clip) -> bool:
    """Some clips hold one annotation throughout: no reference can be made of them."""
    return bool(np.ptp(clip.poses[..., :2], axis=0).max() > 1.0)


def _task(
    name: str, streams: list[Stream], library: Sequence[Clip], picks: list[list[int]], bundle: Bundle
) -> ActionTask:
    rate_hz = bundle.info.rate_hz
    used = sorted({i for pick in picks for i in pick})
    ticks = [recordings.on_ticks(stream.poses, stream.rate_hz, rate_hz) for stream in streams]
    clips = [recordings.on_ticks(library[i].poses, library[i].rate_hz, rate_hz) for i in used]
    poses = [at_ticks for _, at_ticks in (*ticks, *clips)]
    spaces = {"lockstep": recordings.embed(poses, bundle), "keypoints": recordings.embed_keypoints(poses)}
    followed = [
        Followed(stream, newest, {space: embedded[i] for space, embedded in spaces.items()})
        for i, (stream, (newest, _)) in enumerate(zip(streams, ticks, strict=True))
    ]
    known = {}
    for j, i in enumerate(used):
        newest, at_ticks = clips[j]
        labels = np.asarray(library[i].phases)[newest]
        known[i] = {
            space: Recording(library[i].id, at_ticks, embedded[len(streams) + j], labels)
            for space, embedded in spaces.items()
        }
    return ActionTask(name, followed, [[known[i] for i in pick] for pick in picks])


def reference_of(references: Sequence[Recording], bundle: Bundle, cyclic: bool) -> Reference:
    """Lockstep's reference from recordings that are all labelled."""
    marked = [recordings.phases_of(r.phases, bundle.info.rate_hz) for r in references]
    demos = [
        EmbeddedDemo(r.name, r.embeddings, r.poses, {phase.name: phase.start_s for phase in phases})
        for r, phases in zip(references, marked, strict=True)
    ]
    return build_reference(demos, marked[0], bundle, cyclic)


def follow(
    reference: Reference, embeddings: NDArray[np.float32], poses: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The matcher over a stream (T, D) and its poses (T, K, 3): `phase` (T,) as labelled, `at_work` (T,), `confidence` (T,)."""
    matcher = SwitchingMatcher(reference)
    labels = np.array([int(phase.name.split(".")[0]) for phase in reference.info.phases])
    dt_s = 1 / reference.info.rate_hz
    matches = [matcher.step(embedding, dt_s, pose) for embedding, pose in zip(embeddings, poses, strict=True)]
    return {
        "phase": labels[[match.phase for match in matches]],
        "at_work": np.array([match.status in ("on_task", "paused") for match in matches]),
        "confidence": np.array([match.confidence for match in matches]),
    }


def judge_action(task: ActionTask, bundle: Bundle, matchmaker: str | None) -> dict[str, dict[str, dict[str, float]]]:
    """Condition → method → {accuracy, …} of one action, means over draws and streams."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for condition, count in CONDITIONS.items():
        hits: dict[str, list[float]] = defaultdict(list)
        extra: dict[str, list[float]] = defaultdict(list)
        for draw in task.draws:
            for space in ("lockstep", "keypoints"):
                reference = reference_of([r[space] for r in draw[:count]], bundle, task.cyclic)
                for followed in task.streams:
                    told = follow(reference, followed.spaces[space], followed.stream.poses[followed.newest])
                    truth = followed.phases
                    working = truth >= 0
                    hits[space].append(float((told["phase"] == truth)[working].mean()))
                    if space == "lockstep":
                        extra["idle_detected"].append(
                            float((~told["at_work"][~working]).mean()) if (~working).any() else np.nan
                        )
                        extra["work_missed"].append(float((~told["at_work"][working]).mean()))
                        extra["edit"].append(scores.edit_score(truth[working], told["phase"][working]))
                        extra["pos"].append(scores.order_score(truth[working], told["phase"][working]))
                        for overlap in scores.OVERLAPS:
                            counts = scores.segmental_f1(truth, np.where(working, told["phase"], -1), overlap / 100)
                            extra[f"f1@{overlap}"].append(scores.f1(*counts))
            for name, (peer, space) in STREAM_PEERS.items():
                for followed in task.streams:
                    cycles = len(followed.stream.clip_ids)
                    votes = [
                        r[space].phases[peer(r[space].embeddings, followed.spaces[space], cycles)] for r in draw[:count]
                    ]
                    hits[name].append(_accuracy(votes, followed.phases))
        if matchmaker:
            hits.update(_matchmaker(task, count, bundle.info.rate_hz, matchmaker))
        out[condition] = {name: {"accuracy": float(np.mean(values))} for name, values in hits.items()}
        out[condition]["lockstep"] |= {name: float(np.nanmean(values)) for name, values in extra.items()}
    return out


def _accuracy(votes: list[NDArray[np.int64]], truth: NDArray[np.int64]) -> float:
    """Of the majority of several references' phases."""
    classes = 1 + max(int(v.max()) for v in votes)
    counted = np.sum([np.eye(classes)[vote] for vote in votes], axis=0).argmax(axis=1)
    return float((counted == truth)[truth >= 0].mean())


def _matchmaker(task: ActionTask, count: int, rate_hz: float, python: str) -> dict[str, list[float]]:
    """pymatchmaker on the first streams, references repeated as often as there are cycles: it does not restart."""
    arrays: dict[str, Any] = {"rate_hz": rate_hz}
    jobs: list[tuple[Followed, Recording]] = []
    for followed in task.streams[:MATCHMAKER_STREAMS]:
        for recording in task.draws[0][:count]:
            r = recording["lockstep"]
            number, cycles = len(jobs), len(followed.stream.clip_ids)
            arrays[f"reference_{number}"] = np.tile(r.embeddings, (cycles, 1)).astype(np.float32)
            arrays[f"stream_{number}"] = followed.spaces["lockstep"].astype(np.float32)
            jobs.append((followed, r))
    with tempfile.TemporaryDirectory() as folder:
        pairs, answers = Path(folder) / "pairs.npz", Path(folder) / "answers.npz"
        np.savez(pairs, **arrays)
        subprocess.run([python, str(WORKER), str(pairs), str(answers)], check=True, capture_output=True, timeout=600)
        with np.load(answers) as file:
            told = {name: file[name] for name in file.files}
    out: dict[str, list[float]] = {"oltw_arzt": [], "oltw_dixon": []}
    for name in out:
        for start in range(0, len(jobs), count):
            votes = []
            for number in range(start, start + count):
                followed, r = jobs[number]
                at = told[f"{name.removeprefix('oltw_')}_{number}"].astype(int) % len(r.phases)
                votes.append(r.phases[at])
            out[name].append(_accuracy(votes, followed.phases))
    return out


def find_matchmaker(python: str | None) -> tuple[str | None, str]:
    """A Python that has pymatchmaker (None: this one), and in words why there is none."""
    candidate = python or sys.executable
    probe = subprocess.run(
        [candidate, "-c", "import sys; sys.modules['fluidsynth'] = None; import matchmaker.dp"],
        capture_output=True,
        text=True,
    )
    if probe.returncode == 0:
        return candidate, ""
    lines = probe.stderr.strip().splitlines()
    return None, f"{candidate} cannot import pymatchmaker ({lines[-1] if lines else 'no reason given'})"


def summarise(judged: dict[str, dict[str, dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """Action → condition → method → figures, as condition → method → mean accuracy, with all figures per action beside."""
    out: dict[str, Any] = {}
    for condition in CONDITIONS:
        methods = next(iter(judged.values()))[condition]
        out[condition] = {
            name: float(np.mean([action[condition][name]["accuracy"] for action in judged.values()]))
            for name in methods
        }
        out[condition]["per_action"] = {
            name: {action: figures[condition][name]["accuracy"] for action, figures in judged.items()}
            for name in methods
        }
        out[condition]["lockstep_details"] = {
            figure: float(np.nanmean([a[condition]["lockstep"][figure] for a in judged.values()]))
            for figure in next(iter(judged.values()))[condition]["lockstep"]
        }
    return out
