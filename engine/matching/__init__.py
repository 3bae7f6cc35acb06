"""Where in the reference the live stream is: emission, the switching bar-pointer HMM, and how a reference is fitted."""

from __future__ import annotations

from engine.matching.base import Match, Matcher
from engine.reference import Reference

__all__ = ["Match", "Matcher", "open_matcher"]


def open_matcher(reference: Reference) -> Matcher:
    """The matcher of a station that follows this reference."""
    from engine.matching.hmm import SwitchingMatcher

    return SwitchingMatcher(reference)
