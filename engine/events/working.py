"""A tick of work that can be trusted: what `engine.events` makes of a match, and `engine.events.cycle_tracking` follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Working:
    """One tick of trusted work."""

    at_s: float
    """When it was seen, on the stream's clock."""
    dt_s: float
    position_s: float
    phase: int
    confidence: float
    paused: bool
    ahead_s: float
    """How far work has come since in the same phase, as the live answer has it."""
    leaving: bool = False
    """By now the live answer has the operator off task: what seems to begin may be their going."""
