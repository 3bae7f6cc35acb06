"""Evidence that accumulates while something is so, and leaks twice as fast while it is not (CUSUM, Page 1954).

One bad tick decides nothing; a detector fires once what it waits for has held long enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SURPLUS_S = 0.1
"""Evidence grows no further than this beyond what was needed, so that it can turn soon."""


@dataclass
class Evidence:
    """Plain values, by detector: [accumulated seconds, time at which they began]."""

    held: dict[str, list[float]] = field(default_factory=dict)

    def since(self, name: str, true: bool, now_s: float, dt_s: float, needed_s: float) -> float | None:
        """One tick of `dt_s`. Once it has been true for `needed_s`: when that began, else None."""
        entry = self.held.setdefault(name, [0.0, 0.0])
        if true:
            if entry[0] <= 0.0:
                entry[1] = now_s
            entry[0] = min(entry[0] + dt_s, needed_s + SURPLUS_S)
        else:
            entry[0] = max(entry[0] - 2 * dt_s, 0.0)
        return entry[1] if true and entry[0] >= needed_s - 1e-9 else None

    def forget(self, name: str) -> None:
        self.held[name] = [0.0, 0.0]

    def none(self, name: str) -> bool:
        return self.held.get(name, [0.0, 0.0])[0] == 0.0
