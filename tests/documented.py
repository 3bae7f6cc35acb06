"""The table of events in docs/protocol.md, and whether events keep to it; used by tests of all that tells events."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from engine.messages import Event


class Documented(NamedTuple):
    phase: str
    """set, nil, or "set or nil"."""
    details: set[str]


def _rows() -> dict[str, Documented]:
    text = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (set|nil|set or nil) \|([^|]*)\|$", text, re.MULTILINE)
    return {kind: Documented(phase, set(re.findall(r"`(\w+)`", details))) for kind, phase, details in rows}


EVENTS = _rows()
"""Kind → what is documented of it."""


def are_as_documented(events: Iterable[Event]) -> None:
    """Fails where events of a kind have, all together, other details than documented, or one has a phase and should not."""
    details, phases = defaultdict(set), defaultdict(set)
    for event in events:
        details[event.event] |= set(event.details)
        phases[event.event].add("nil" if event.phase is None else "set")
    assert details == {kind: EVENTS[kind].details for kind in details}
    assert {kind: found for kind, found in phases.items() if not found <= set(EVENTS[kind].phase.split(" or "))} == {}
