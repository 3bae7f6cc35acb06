"""What can be chosen about a rendered station: the worker, their clothes, the camera, the pace, and what goes wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from engine.errors import ConfigError

PHASES = ("pick", "place", "fasten", "inspect", "hand_off")
"""The five phases of the assembly, in order."""
NOMINAL_S = (2.0, 1.8, 3.0, 2.2, 2.0)
"""Duration of each phase at speed 1, seconds."""

DeviationKind = Literal["skip", "repeat", "swap", "pause", "leave", "turn"]
BackdropKind = Literal["plaster", "brick", "panels"]

Colour = tuple[int, int, int]
"""Blue, green, red."""


@dataclass(frozen=True)
class Deviation:
    """One thing that goes wrong: `kind` at phase number `phase` (0-based) of cycle `cycle` (from 1).

    skip: the phase is left out. repeat: it is done twice. swap: it and the next phase change places. pause: the worker
    freezes for `duration_s`. leave: they walk out of the picture and come back. turn: they turn their back.
    """

    kind: DeviationKind
    phase: int
    cycle: int
    duration_s: float = 0.0
    at: float = 0.5
    """Progress of the phase at which a pause, leave or turn begins."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(DeviationKind):
            raise ConfigError(
                "unknown deviation", expected=f"one of {', '.join(get_args(DeviationKind))}", found=str(self.kind)
            )
        last = len(PHASES) - (2 if self.kind == "swap" else 1)
        if not 0 <= self.phase <= last:
            raise ConfigError(
                f"cannot {self.kind} phase {self.phase + 1}",
                expected=f"a phase from 1 to {last + 1}",
                found=str(self.phase + 1),
            )
        if self.cycle < 1:
            raise ConfigError(
                f"cannot {self.kind} in cycle {self.cycle}", expected="a cycle from 1 on", found=str(self.cycle)
            )
        if not (np.isfinite(self.duration_s) and self.duration_s >= 0 and 0 <= self.at <= 1):
            raise ConfigError("a deviation lasts a number of seconds and begins at a progress from 0 to 1")


@dataclass(frozen=True)
class Body:
    """Proportions; 1 is average."""

    height_m: float = 1.75
    shoulders: float = 1.0
    arms: float = 1.0
    build: float = 1.0


@dataclass(frozen=True)
class Look:
    """Clothes, skin and hair. Colours are blue, green, red."""

    skin: Colour = (150, 180, 224)
    hair: Colour = (34, 46, 62)
    shirt: Colour = (158, 104, 62)
    trousers: Colour = (82, 62, 52)
    apron: Colour | None = (70, 74, 78)
    long_sleeves: bool = True
    gloves: Colour | None = None
    cap: Colour | None = None
    glasses: bool = False
    long_hair: bool = False


@dataclass(frozen=True)
class View:
    """Backdrop, light and camera."""

    backdrop: BackdropKind = "plaster"
    wall: Colour = (196, 205, 208)
    brightness: float = 1.0
    warmth: float = 0.0
    """-1 (bluish) to 1 (yellowish)."""
    light_side: float = -1.0
    """Where the light comes from: -1 left, 1 right."""
    shift_px: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    roll_deg: float = 0.0
    shake_px: float = 0.0
    """Standard deviation of the camera's shake."""
    noise: float = 2.5
    """Standard deviation of the sensor's noise, grey levels."""


@dataclass(frozen=True)
class StationParams:
    """A rendered station, complete: the same parameters give the same frames and the same truth.

    `seed` drives what varies within a recording (pace of each phase, where the hands go, sway); `replace(params, seed=…)`
    is the same worker on another day.
    """

    seed: int = 0
    habit: int = 0
    """Seed of the worker's own way of moving, which stays from day to day."""
    cycles: int = 3
    fps: float = 30.0
    size: tuple[int, int] = (640, 480)
    speed: float = 1.0
    phase_speeds: tuple[float, ...] = (1.0,) * len(PHASES)
    """The worker's habit: speed of each phase relative to `speed`."""
    speed_variation: float = 0.06
    """Log standard deviation of the speed of each phase of each cycle."""
    motion_variation: float = 0.006
    """Standard deviation of where the hands go, as a fraction of body height."""
    idle_s: float = 1.5
    """Mean idle time before, between and after cycles."""
    deviations: tuple[Deviation, ...] = ()
    body: Body = field(default_factory=Body)
    look: Look = field(default_factory=Look)
    view: View = field(default_factory=View)

    def __post_init__(self) -> None:
        if self.cycles < 0 or len(self.phase_speeds) != len(PHASES):
            raise ConfigError(f"a station has 0 or more cycles and {len(PHASES)} phase speeds")
        if not (1 <= self.fps <= 240 and 0.1 <= self.speed <= 10 and 0 <= self.idle_s <= 3600):
            raise ConfigError(
                "the pace is out of range",
                expected="1–240 frames/s, speed 0.1–10, idle 0–3600 s",
                found=f"fps {self.fps}, speed {self.speed}, idle {self.idle_s}",
            )
        if min(self.size) < 64 or max(self.size) > 4096:
            raise ConfigError("the picture is out of range", expected="64–4096 pixels a side", found=str(self.size))
        late = [d for d in self.deviations if d.cycle > self.cycles]
        if late:
            raise ConfigError(
                f"cannot {late[0].kind} in cycle {late[0].cycle}",
                expected=f"a cycle from 1 to {self.cycles}",
                found=str(late[0].cycle),
            )

    @staticmethod
    def random(seed: int, *, deviations: int | tuple[Deviation, ...] = (), **fixed: Any) -> StationParams:
        """A worker drawn at random: body, clothes, light, camera, pace. `fixed` overrides what was drawn, by field.

        `deviations`: exactly these, or that many drawn at random, at most one per cycle. Raises ConfigError.
        """
        rng = np.random.default_rng(seed)
        params = StationParams(
            seed=seed,
            habit=seed,
            speed=float(np.exp(rng.uniform(np.log(0.75), np.log(1.35)))),
            phase_speeds=tuple(float(s) for s in np.exp(rng.normal(0, 0.1, len(PHASES)).clip(-0.2, 0.2))),
            speed_variation=float(rng.uniform(0.03, 0.1)),
            motion_variation=float(rng.uniform(0.004, 0.01)),
            idle_s=float(rng.uniform(0.8, 2.5)),
            body=_random_body(rng),
            look=_random_look(rng),
            view=_random_view(rng),
        )
        params = replace(params, **fixed)
        if isinstance(deviations, int):
            deviations = _random_deviations(rng, deviations, params.cycles)
        return replace(params, deviations=deviations)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(document: dict[str, Any]) -> StationParams:
        """The inverse of `as_json`. Raises ConfigError for what does not fit."""
        try:
            fields: dict[str, Any] = {**document}
            fields["deviations"] = tuple(Deviation(**d) for d in document["deviations"])
            fields["body"] = Body(**document["body"])
            fields["look"] = Look(**_tuples(document["look"]))
            fields["view"] = View(**_tuples(document["view"]))
            return StationParams(**_tuples(fields))
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError("not the parameters of a rendered station", found=str(error)) from None


def _tuples(document: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}


def _random_body(rng: np.random.Generator) -> Body:
    return Body(
        height_m=float(rng.uniform(1.58, 1.92)),
        shoulders=float(rng.uniform(0.92, 1.1)),
        arms=float(rng.uniform(0.96, 1.05)),
        build=float(rng.uniform(0.88, 1.18)),
    )


_SKINS: tuple[Colour, ...] = (
    (160, 190, 232),
    (150, 180, 224),
    (120, 155, 206),
    (86, 122, 178),
    (60, 88, 136),
    (50, 70, 108),
)
_HAIRS: tuple[Colour, ...] = ((24, 26, 30), (34, 46, 62), (44, 74, 116), (70, 122, 172), (120, 124, 130))
_SHIRTS: tuple[Colour, ...] = (
    *((158, 104, 62), (60, 60, 168), (90, 132, 70), (110, 110, 112), (40, 120, 200), (150, 80, 110)),
    *((70, 70, 74), (190, 170, 120), (210, 206, 200)),
)
_WALLS: tuple[Colour, ...] = ((196, 205, 208), (206, 196, 184), (180, 196, 186), (170, 182, 198), (158, 160, 164))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    b, g, r = colours[rng.integers(len(colours))]
    jitter = rng.integers(-8, 9, 3)
    return tuple(int(np.clip(c + j, 10, 245)) for c, j in zip((b, g, r), jitter, strict=True))  # type: ignore[return-value]


def _random_look(rng: np.random.Generator) -> Look:
    return Look(
        skin=_pick(rng, _SKINS),
        hair=_pick(rng, _HAIRS),
        shirt=_pick(rng, _SHIRTS),
        trousers=_pick(rng, ((82, 62, 52), (60, 60, 64), (110, 90, 70))),
        apron=_pick(rng, ((70, 74, 78), (96, 60, 40), (60, 90, 60))) if rng.random() < 0.4 else None,
        long_sleeves=bool(rng.random() < 0.5),
        gloves=_pick(rng, ((60, 60, 66), (190, 140, 60), (90, 200, 230))) if rng.random() < 0.25 else None,
        cap=_pick(rng, ((150, 80, 40), (50, 50, 160), (60, 60, 60))) if rng.random() < 0.3 else None,
        glasses=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.35),
    )


def _random_view(rng: np.random.Generator) -> View:
    backdrops: tuple[BackdropKind, ...] = get_args(BackdropKind)
    return View(
        backdrop=backdrops[rng.integers(len(backdrops))],
        wall=_pick(rng, _WALLS),
        brightness=float(rng.uniform(0.82, 1.12)),
        warmth=float(rng.uniform(-0.7, 0.7)),
        light_side=float(rng.choice([-1.0, 1.0])),
        shift_px=(float(rng.uniform(-30, 30)), float(rng.uniform(-12, 12))),
        zoom=float(rng.uniform(0.9, 1.06)),
        roll_deg=float(rng.uniform(-2, 2)),
        shake_px=float(rng.choice([0.0, rng.uniform(0.2, 0.8)])),
        noise=float(rng.uniform(1.5, 4)),
    )


def _random_deviations(rng: np.random.Generator, count: int, cycles: int) -> tuple[Deviation, ...]:
    """At most one per cycle, so that each can be told apart, and none in the first cycle if there are enough others."""
    first = 2 if cycles > count else 1
    free = np.arange(first, cycles + 1)
    if not 0 <= count <= len(free):
        raise ConfigError("so many deviations cannot be", expected=f"0 to {cycles}, one per cycle", found=str(count))
    kinds: tuple[DeviationKind, ...] = get_args(DeviationKind)
    drawn = []
    for cycle in sorted(rng.choice(free, count, replace=False)):
        kind = kinds[rng.integers(len(kinds))]
        phase = int(rng.integers(len(PHASES) - (1 if kind == "swap" else 0)))
        seconds = {"pause": rng.uniform(2, 6), "leave": rng.uniform(6, 10), "turn": rng.uniform(4, 8)}.get(kind, 0.0)
        drawn.append(Deviation(kind, phase, int(cycle), float(seconds), float(rng.uniform(0.25, 0.75))))
    return tuple(drawn)
