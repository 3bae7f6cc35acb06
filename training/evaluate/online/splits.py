"""What was known of the data of a run before it: whether its figures can be believed, or served for choosing.

A seed of stations is held out until somebody looks into what went wrong on it; then it moves below `HELD_OUT_FROM`.
"""

from __future__ import annotations

LOOKED_INTO_FROM, HELD_OUT_FROM = 900, 947
TUNING_OFFSET = 10_000
"""Stations of the tuning split are those of seed + this."""


def split_of(seed: int, tuning: bool) -> dict[str, str]:
    """Of the streams and of the stations of a seed: "tuning" (choices were made on it), "test" (none were; run at each
    version) or "held out" (none were; run once, after the last change)."""
    if tuning:
        return {"streams": "tuning", "stations": "tuning"}
    looked_into = LOOKED_INTO_FROM <= seed < HELD_OUT_FROM
    return {
        "streams": "test",
        "stations": "tuning" if looked_into else "held out" if seed >= HELD_OUT_FROM else "test",
    }
