"""Who is judged in an offline evaluation, and under which name each row of the tables appears."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.bundle import DEFAULT, Bundle, open_bundle
from engine.errors import BundleError
from models import skeleton
from training.datasets.penn import LAYOUT, RATE_HZ
from training.evaluate.controls import CONTROLS
from training.evaluate.networks import bundle_features, network_features, untrained
from training.evaluate.offline import Candidate

FULL, CLOCK = f"{DEFAULT}-full", f"{DEFAULT}-clock"
"""Shipped beside the default: full attention for whole recordings; the same with absolute positions (not LA2DS's network: docs/training.md)."""


@dataclass
class Lineup:
    """`rows` of a section: name in the table → candidate."""

    candidates: dict[str, Candidate] = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=lambda: {"paper": {}, "clock_free": {}})
    described: dict[str, str] = field(default_factory=dict)
    """Candidate → what it is, in words."""

    def add(self, name: str, candidate: Candidate, description: str, **rows: str) -> None:
        """`rows`: section → name of the candidate's row there."""
        self.candidates[name] = candidate
        self.described[name] = description
        for section, row in rows.items():
            self.rows[section][row] = name


def line_up(bundle: str | None, checkpoint: Path | None, seed: int) -> Lineup:
    """The model with its controls. Neither a bundle nor a checkpoint given: the shipped models.

    Of the shipped ones `lockstep` is, in the paper's protocol, full attention with absolute positions, and the default on
    streams; each is in the other table too, under its own name. Raises BundleError, DataError.
    """
    lineup = Lineup()
    if checkpoint is not None:
        _add_checkpoint(lineup, checkpoint, seed)
    elif bundle is not None:
        _add_bundle(lineup, open_bundle(bundle), seed, paper="lockstep", clock_free="lockstep")
    else:
        _add_bundle(lineup, open_bundle(CLOCK), seed, 1, paper="lockstep", clock_free="lockstep_clock")
        _add_bundle(lineup, open_bundle(FULL), seed, paper="lockstep_full", clock_free="lockstep_full")
        _add_bundle(lineup, open_bundle(DEFAULT), seed, paper="lockstep_causal", clock_free="lockstep")
    for name, features in CONTROLS.items():
        lineup.add(name, Candidate(features), f"control: {name}", paper=name, clock_free=name)
    return lineup


def _add_bundle(lineup: Lineup, bundle: Bundle, seed: int, stream_seeds: int | None = None, **rows: str) -> None:
    info = bundle.info
    _fits(f"bundle {info.name}", info.layout)
    candidate = Candidate(bundle_features(bundle, RATE_HZ, LAYOUT), "paper" in rows, stream_seeds)
    lineup.add(info.name, candidate, f"{bundle!r}, {info.mode}", **rows)
    if info.network:
        from models.lockstep_net import NetConfig

        _add_untrained(lineup, info.name, NetConfig(**info.network), info.crop, seed, rows)


def _add_checkpoint(lineup: Lineup, folder: Path, seed: int) -> None:
    from training.checkpoint import load_checkpoint

    loaded = load_checkpoint(folder)
    _fits(f"checkpoint {folder}", loaded.net.config.layout)
    features = network_features(loaded.net, loaded.crop, RATE_HZ, LAYOUT)
    rows = {"paper": "lockstep", "clock_free": "lockstep"}
    lineup.add("checkpoint", Candidate(features), f"checkpoint {folder.name}", **rows)
    _add_untrained(lineup, "checkpoint", loaded.net.config, loaded.crop, seed, rows)


def _fits(what: str, layout: str) -> None:
    """Raises BundleError where the clips, which are bodies, cannot be shown to a model of this layout."""
    try:
        skeleton.conversion(LAYOUT, layout)
    except KeyError as error:
        raise BundleError(
            f"{what} does not fit these data",
            expected=f"a layout that {LAYOUT} converts to",
            found=str(error.args[0]),
            next_step="Name a model of a body with --bundle or --checkpoint.",
        ) from None


def _add_untrained(lineup: Lineup, of: str, config: Any, crop: dict[str, Any], seed: int, rows: dict[str, str]) -> None:
    """The control of a model, judged where that model is `lockstep`; on streams of one seed only, as it is slow."""
    where = {section: "untrained" for section, row in rows.items() if row == "lockstep"}
    candidate = Candidate(
        untrained(config, crop, RATE_HZ, seed, LAYOUT), "paper" in where, 1 if "clock_free" in where else 0
    )
    lineup.add(f"untrained {of}", candidate, f"control: the network of {of} with random weights", **where)
