"""How the hidden state moves between two ticks: rates, pauses, jumps, leaving the task and coming back.

A switching bar-pointer model (Whiteley, Cemgil, Godsill, ISMIR 2006: position × rate; here with off-task and idle states).
All hazards are per second, so a tick of any length is served by the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from engine.reference import Reference

RATES = (0.0, 1 / 3, 1 / 2, 2 / 3, 1.0, 1.5, 2.0, 3.0)
"""Live speed over reference speed; 0 is a pause."""


@dataclass(frozen=True)
class Dynamics:
    """Hazards (1/s) and shares (0–1) of everything that can happen. Tuned on the tuning split, see docs/online_results.md."""

    change_rate: float = 1.0
    """To each neighbouring rate."""
    pause: float = 0.3
    resume: float = 1.0
    jump: float = 0.05
    """Leaving for another place of the procedure: a step skipped, repeated or swapped."""
    leave: float = 0.02
    """Going off task."""
    leave_unseen: float = 1.0
    """Going off task while nobody is seen: work that is not seen is not assumed to go on."""
    come_back: float = 0.3
    come_back_here: float = 0.75
    come_back_start: float = 0.15
    """Where work is taken up again: where it was left, else at the start, else anywhere."""
    give_up: float = 0.02
    """From off task to idle."""
    begin: float = 0.5
    """From idle to a cycle."""
    begin_start: float = 0.6
    """At its start, else anywhere."""
    wrap: float = 0.8
    """The next cycle follows at once (cyclic work), else idle."""
    land_on_phase_start: float = 0.6
    """Jumps land on the starts of phases, else anywhere."""
    landing_s: float = 0.25
    """How far behind a start a landing may be."""
    entry: tuple[float, ...] = field(default=(0.02, 0.08, 0.12, 0.18, 0.3, 0.18, 0.08, 0.04))
    """Distribution over RATES on entering."""


def rate_generator(dynamics: Dynamics) -> NDArray[np.float64]:
    """Generator matrix (K, K) of the rate's random walk; rows sum to 0."""
    count = len(RATES)
    generator = np.zeros((count, count))
    for k in range(1, count):
        for neighbour in (k - 1, k + 1):
            if 1 <= neighbour < count:
                generator[k, neighbour] = dynamics.change_rate
        generator[k, 0] = dynamics.pause
    moving = np.array(dynamics.entry[1:])
    generator[0, 1:] = dynamics.resume * moving / moving.sum()
    np.fill_diagonal(generator, -generator.sum(axis=1))
    return generator


def rate_transition(dynamics: Dynamics, dt_s: float) -> NDArray[np.float32]:
    """Transition matrix (K, K) over `dt_s` seconds, rows sum to 1."""
    return expm(rate_generator(dynamics) * dt_s).astype(np.float32)


def chance(hazard: float, dt_s: float) -> float:
    """Probability that an event of this hazard (1/s) happens within `dt_s`."""
    return float(-np.expm1(-hazard * dt_s))


def landings(reference: Reference, dynamics: Dynamics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where jumps land and where cycles begin: two distributions (N,)."""
    count, rate_hz = len(reference), reference.info.rate_hz
    uniform = np.full(count, 1 / count)
    begins = _behind([0.0], count, rate_hz, dynamics.landing_s)
    starts = _behind([phase.start_s for phase in reference.info.phases], count, rate_hz, dynamics.landing_s)
    share = dynamics.land_on_phase_start
    land = share * starts + (1 - share) * uniform
    begin = dynamics.begin_start * begins + (1 - dynamics.begin_start) * uniform
    return land.astype(np.float32), begin.astype(np.float32)


def _behind(starts_s: list[float], count: int, rate_hz: float, scale_s: float) -> NDArray[np.float64]:
    """A distribution (N,) that decays exponentially behind each start."""
    ticks = np.arange(count)
    out = np.zeros(count)
    for start_s in starts_s:
        at = min(round(start_s * rate_hz), count - 1)
        after = np.where(ticks >= at, np.exp(-(ticks - at) / max(scale_s * rate_hz, 1e-6)), 0.0)
        out += after / after.sum()
    return out / len(starts_s)
