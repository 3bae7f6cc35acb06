"""The terminal view of a station: phase strip, progress, pace, last events, latency. Live in-process or over the bus.

state, hello, events ─render→ rich renderable
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from clients.colours import phase_colour
from engine.messages import Event, Hello, PhaseInfo, State
from engine.security import ClientKeys

EVENTS_SHOWN = 6
WIDTH = 100
LABEL = 12
"""Columns of the left margin."""

_STATUS = {
    "starting": ("starting", "grey50"),
    "on_task": ("on task", "#009e73"),
    "paused": ("paused", "#e69f00"),
    "off_task": ("off task", "#d55e00"),
    "idle": ("idle", "#56b4e9"),
    "lost": ("nobody there", "#d55e00"),
    "no_stream": ("no picture", "#d55e00"),
    "silent": ("not heard", "#d55e00"),
}
_EVENTS = {
    "cycle_started": ("▶", "#56b4e9"),
    "cycle_finished": ("✔", "#009e73"),
    "cycle_abandoned": ("✘", "#d55e00"),
    "phase_started": ("›", "grey62"),
    "phase_finished": ("·", "grey62"),
    "phase_confirmed": ("✔", "#009e73"),
    "phase_skipped": ("▼", "#d55e00"),
    "phase_out_of_order": ("◆", "#e69f00"),
    "phase_repeated": ("↻", "#e69f00"),
    "slow": ("◷", "#e69f00"),
    "paused": ("‖", "#e69f00"),
    "resumed": ("▶", "#009e73"),
    "off_task": ("!", "#d55e00"),
    "back_on_task": ("▶", "#009e73"),
    "operator_lost": ("!", "#d55e00"),
    "operator_found": ("▶", "#009e73"),
    "stream_lost": ("!", "#d55e00"),
    "stream_back": ("▶", "#009e73"),
    "stage_down": ("!", "#d55e00"),
    "stage_back": ("▶", "#009e73"),
}
_STAGES = ("wait", "pose", "embed", "match", "events", "publish", "after_pose", "total")


class View:
    """What a live display shows: a sink of a station, and a rich renderable at any moment. Thread-safe.

    view = View()
    with Live(view):
        station.run()          # or: view.state(...), view.event(...) from the bus
    """

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        """Shown in the frame while it is not empty (silence of the station, a store that cannot be written)."""
        self._hello: Hello | None = None
        self._state: State | None = None
        self._events: deque[Event] = deque(maxlen=50)
        self._turn = threading.Lock()

    def hello(self, hello: Hello) -> None:
        with self._turn:
            self._hello = hello

    def state(self, state: State, frame: Any = None) -> None:
        with self._turn:
            self._state = state

    def event(self, event: Event) -> None:
        with self._turn:
            self._events.append(event)

    def __rich__(self) -> RenderableType:
        with self._turn:
            state, hello, events = self._state, self._hello, list(self._events)
        return render(state, hello, events, trouble=self.trouble)


def render(state: State | None, hello: Hello | None, events: Sequence[Event], *, trouble: str = "") -> RenderableType:
    """One picture of a station, at most 100 columns wide. Nothing a peer sent is taken for markup."""
    speaker = hello or state
    name = clean(speaker.station) if speaker else "…"
    label, colour = _STATUS["silent"] if trouble else _STATUS[state.status if state else "starting"]
    title = Text.assemble(" ", (name, "bold"), " ", (f" {label} ", f"bold #10141f on {colour}"), " ")
    body: list[RenderableType] = []
    if hello is not None:
        body += [PhaseStrip(hello.phases, hello.reference_s, state), Text()]
    body += [_progress(state, hello), Text(), _vitals(state), Text()]
    body.append(_last_events(events))
    if trouble:
        body += [Text(), Text(clean(trouble), style="#d55e00")]
    return Panel(
        Group(*body),
        title=title,
        title_align="left",
        subtitle=Text(f" {clean(hello.bundle)} ", style="grey50") if hello else None,
        subtitle_align="right",
        border_style=colour,
        padding=(1, 2),
        width=WIDTH,
    )


class PhaseStrip:
    """The reference as a strip: one coloured block per phase, done part bright, and a marker at the position."""

    def __init__(self, phases: Sequence[PhaseInfo], reference_s: float, state: State | None) -> None:
        self.phases, self.reference_s, self.state_now = phases, reference_s, state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        edges = [self._column(phase.start_s, width) for phase in self.phases] + [width]
        state = self.state_now
        working = state is not None and state.phase_index is not None
        here = self._column(state.position_s, width - 1) if working and state else -1
        current = state.phase_index if working and state else None
        names, blocks = [], []
        for index, phase in enumerate(self.phases):
            colour = Style(color=phase_colour(index))
            columns = range(edges[index], max(edges[index], edges[index + 1]))
            style = colour + Style(bold=True) if index == current else Style(color="grey62")
            room = len(columns)
            words = clean(phase.name)
            words = words if len(words) < room else words[: max(0, room - 2)] + "…" if room > 2 else ""
            names.append(Segment(words.ljust(room), style))
            shade = colour if working else colour + Style(dim=True)
            blocks += [Segment("█" if column <= here else "░", shade) for column in columns]
        marker = Segment(" " * here + "▲", Style(color="white", bold=True)) if here >= 0 else Segment("")
        for line in (names, blocks, blocks, [marker]):
            yield from line
            yield Segment.line()

    def _column(self, position_s: float, width: int) -> int:
        share = position_s / self.reference_s if self.reference_s > 0 and math.isfinite(position_s) else 0.0
        return round(width * min(1.0, max(0.0, share)))


def _progress(state: State | None, hello: Hello | None) -> Table:
    """Bars of phase, cycle and confidence."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=LABEL - 2, style="grey62", no_wrap=True)
    longest = max((len(clean(phase.name)) for phase in hello.phases), default=0) if hello else 0
    table.add_column(width=min(18, max(8, longest)), no_wrap=True, overflow="ellipsis")
    table.add_column()  # the bars: narrower where the terminal is, and of one width whatever is said beside them
    table.add_column(justify="right", width=6, no_wrap=True)
    table.add_column(style="grey62", no_wrap=True, min_width=11)
    working = state is not None and state.phase is not None
    colour = phase_colour(state.phase_index) if state and state.phase_index is not None else "grey37"
    phase = clean(state.phase) if state and state.phase is not None else "–"
    eta = state.eta_s if state else None
    left = f"{_number(eta, '.1f')} s left" if eta is not None else ""
    rows = (
        ("phase", Text(phase, style="bold"), state.phase_progress if state and working else 0.0, colour, ""),
        (
            "cycle",
            str(state.cycle) if state else "–",
            state.cycle_progress if state and working else 0.0,
            "#56b4e9",
            left,
        ),
        ("sure", "", state.confidence if state else 0.0, "#8a6fd1", ""),
    )
    for label, value, share, bar_colour, note in rows:
        table.add_row(label, value, Bar(share, bar_colour), f"{_number(100 * share, '.0f')} %", note)
    return table


class Bar:
    """A share from 0 to 1, drawn over the width there is."""

    def __init__(self, share: float, colour: str) -> None:
        self.share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
        self.colour = colour

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, 40).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(40, options.max_width)
        whole, part = divmod(round(self.share * width * 8), 8)
        filled = "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")
        yield Text.assemble((filled, self.colour), ("·" * (width - len(filled)), "grey30"))


def _vitals(state: State | None) -> Table:
    """Counters, then the latency of each stage."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=LABEL - 2, style="grey62")
    table.add_column()
    if state is None:
        table.add_row("", Text("waiting for the first tick", style="grey50"))
        return table
    counters = Text()
    for value, unit in (
        (f"{_number(state.rate, '.2f')}×", "pace"),
        (str(state.cycles_finished), "cycles finished"),
        (_number(state.fps, ".1f"), "fps"),
        (str(state.dropped), "dropped"),
        (_clock(state.time_s), "running"),
    ):
        counters.append(value, "bold").append(f" {unit}   ", "grey62")
    table.add_row("now", counters)
    known = [stage for stage in _STAGES if stage in state.latency_ms]
    known += sorted(stage for stage in state.latency_ms if stage not in _STAGES)[: 8 - len(known)]
    if known:
        latency = Table.grid(padding=(0, 1))  # all of them fit into a terminal of 80 columns
        for _ in known:
            latency.add_column(justify="right", min_width=6, no_wrap=True)
        latency.add_row(*(Text(clean(stage).replace("_", " "), style="grey62") for stage in known))
        for percentile, style in ((0, "bold"), (1, "grey62")):
            latency.add_row(
                *(Text(_number(state.latency_ms[stage][percentile], ".2f"), style=style) for stage in known)
            )
        table.add_row(Text("ms\np50\np95"), latency)
    return table


def _last_events(events: Sequence[Event]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=LABEL - 2, style="grey62", justify="left")
    table.add_column(width=1)
    table.add_column(width=20, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    shown = list(events)[-EVENTS_SHOWN:]
    for event in reversed(shown):
        sign, colour = _EVENTS.get(event.event, ("·", "grey62"))
        what = Text(event.event.replace("_", " "), style=colour)
        about = [f"cycle {event.cycle}"] if event.cycle else []
        about += [clean(event.phase)] if event.phase else []
        about += [
            f"{_number(value, '.1f')} s"
            for key in ("duration_s", "dwell_s")
            if isinstance(value := event.details.get(key), float)
        ]
        table.add_row(_clock(event.time_s), Text(sign, style=colour), what, Text("  ".join(about), style="grey62"))
    for _ in range(EVENTS_SHOWN - len(shown)):
        table.add_row("", "", Text("no events yet", style="grey37") if not shown and _ == 0 else "", "")
    return table


def clean(text: str, longest: int = 60) -> str:
    """A peer's text as it may be shown: no control characters (a terminal obeys them), not endless."""
    return "".join(c if c.isprintable() else "�" for c in text[:longest])


def _number(value: float | None, how: str) -> str:
    return format(value, how) if value is not None and math.isfinite(value) else "–"


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"


def watch(address: str, requests: str, console: Console, keys: ClientKeys | None = None) -> None:
    """Show a running station until Ctrl-C. Raises BusError for a malformed address."""
    from rich.live import Live

    from engine.subscriber import Subscriber

    view = View(trouble=f"listening at {address}")
    with Subscriber(address, requests, keys=keys) as bus, Live(view, console=console, refresh_per_second=10):
        started_s = time.monotonic()
        while True:
            for message in bus.update(0.2):
                if isinstance(message, Hello):
                    view.hello(message)
                elif isinstance(message, Event):
                    view.event(message)
                elif isinstance(message, State):
                    view.state(message)
            view.trouble = _trouble(
                bus.alive, bus.heartbeat.health if bus.heartbeat else {}, time.monotonic() - started_s
            )


def _trouble(alive: bool, health: dict[str, str], listened_s: float) -> str:
    if not alive:
        return (
            "nothing heard" if listened_s < 3 else "nothing heard: is the station running, are address and keys right?"
        )
    return "; ".join(f"{part}: {what}" for part, what in health.items())
