"""The terminal view of a station: phase strip, progress, rate, last events, latency. Live in-process or over the bus.

state, hello, events ─render→ rich renderable
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
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
NARROW = 60
"""Below so many columns within the frame only what matters most has room."""

STATUS = {
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
_STAGES_THAT_MATTER = ("total", "pose", "after_pose")
"""Kept longest where not all have room."""


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
    label, colour = STATUS["silent"] if trouble else STATUS[state.status if state else "starting"]
    title = Text.assemble(" ", (name, "bold"), " ", (f" {label} ", f"bold #10141f on {colour}"), " ")
    # Trouble comes first: a terminal of few lines cuts off what is below.
    body: list[RenderableType] = [Text(clean(trouble, 300), style="#d55e00"), Text()] if trouble else []
    if hello is not None:
        body += [PhaseStrip(hello.phases, hello.reference_s, state), Text()]
    body += [Bars(state), Text(), _vitals(state), Text(), LastEvents(events)]
    return Panel(
        Group(*body),
        title=title,
        title_align="left",
        subtitle=Text(f" {clean(hello.bundle)} ", style="grey50") if hello else None,
        subtitle_align="right",
        border_style=colour,
        padding=(0, 2),
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
            names.append(Segment(_fitted(clean(phase.name), room - 1) + " " * min(room, 1), style))
            shade = colour if working else colour + Style(dim=True)
            blocks += [Segment("█" if column <= here else "░", shade) for column in columns]
        marker = Segment(" " * here + "▲", Style(color="white", bold=True)) if here >= 0 else Segment("")
        for line in (names, blocks, blocks, [marker]):
            yield from line
            yield Segment.line()

    def _column(self, position_s: float, width: int) -> int:
        share = position_s / self.reference_s if self.reference_s > 0 and math.isfinite(position_s) else 0.0
        return round(width * min(1.0, max(0.0, share)))


class Bars:
    """How far the phase and the cycle are, and how sure that is, each as a bar that fills the width there is."""

    def __init__(self, state: State | None) -> None:
        self.state_now = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        state = self.state_now
        narrow = options.max_width < NARROW
        gap, value_width, note_width = (1, 7, 0) if narrow else (2, 16, 13)
        gaps = gap * (3 if narrow else 4)
        bar_width = max(1, min(40, options.max_width - (LABEL - 2) - value_width - 5 - note_width - gaps))
        working = state is not None and state.phase is not None
        colour = phase_colour(state.phase_index) if state and state.phase_index is not None else "grey37"
        phase = clean(state.phase) if state and state.phase is not None else "–"
        eta = state.eta_s if state else None
        left = f"{_number(eta, '.1f')} s left" if eta is not None else ""
        cycle = str(state.cycle) if state else "–"
        rows = (
            ("phase", phase, state.phase_progress if state and working else 0.0, colour, ""),
            ("cycle", cycle, state.cycle_progress if state and working else 0.0, "#56b4e9", left),
            ("confidence", "", state.confidence if state else 0.0, "#8a6fd1", ""),
        )
        for label, value, share, bar_colour, note in rows:
            percent = f"{_number(100 * share, '.0f')} %"
            yield Text(" " * gap, end="", no_wrap=True).join(
                [
                    Text(set_cell_size(label, LABEL - 2), style="grey62"),
                    Text(_fitted(value, value_width), style="bold" if label == "phase" else ""),
                    _bar(share, bar_colour, bar_width),
                    Text(_fitted(percent, 5) if len(percent) > 5 else percent.rjust(5)),
                    *([] if narrow else [Text(_fitted(note, note_width), style="grey62")]),
                ]
            )
            yield Segment.line()


def _bar(share: float, colour: str, width: int) -> Text:
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    eighths = round(share * width * 8)
    whole, part = divmod(eighths, 8)
    filled = "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return Text.assemble((filled, colour), ("·" * (width - len(filled)), "grey30"))


def _vitals(state: State | None) -> Table:
    """Counters, then the latency of each stage."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=LABEL - 2, style="grey62")
    table.add_column()
    if state is None:
        table.add_row("", Text("waiting for the first tick", style="grey50"))
        return table
    counters = [
        Text.assemble((value, "bold"), (f" {unit}", "grey62"))
        for value, unit in (
            (f"{_number(state.rate, '.2f')}×", "rate"),
            (str(state.cycles_finished), "cycle" if state.cycles_finished == 1 else "cycles"),
            (_number(state.fps, ".1f"), "fps"),
            (str(state.dropped), "dropped"),
            (clock(state.time_s), "running"),
        )
    ]
    table.add_row("now", Text("   ").join(counters))
    if state.latency_ms:
        table.add_row(Text("ms\np50\np95"), Latencies(state.latency_ms))
    return table


class Latencies:
    """Median and 95th percentile of every stage; of those that matter most where there is not room for all."""

    def __init__(self, latency_ms: Mapping[str, tuple[float, float]]) -> None:
        self.latency_ms = latency_ms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unknown = sorted(stage for stage in self.latency_ms if stage not in _STAGES)
        known = [stage for stage in (*_STAGES, *unknown) if stage in self.latency_ms][: len(_STAGES)]
        for stage in sorted(known, key=lambda stage: stage in _STAGES_THAT_MATTER):
            if sum(self._width(stage) + 2 for stage in known) - 2 <= options.max_width:
                break
            known.remove(stage)
        table = Table.grid(padding=(0, 2))
        for stage in known:
            table.add_column(justify="right", min_width=self._width(stage), no_wrap=True)
        table.add_row(*(Text(self._name(stage), style="grey62") for stage in known))
        for percentile, style in ((0, "bold"), (1, "grey62")):
            table.add_row(*(Text(_number(self.latency_ms[stage][percentile], ".2f"), style=style) for stage in known))
        yield table

    def _name(self, stage: str) -> str:
        return clean(stage, 20).replace("_", " ")

    def _width(self, stage: str) -> int:
        return max(6, cell_len(self._name(stage)))


class LastEvents:
    """The newest first; always as many lines, so that the view does not jump."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(self.events)[-EVENTS_SHOWN:]
        for event in reversed(shown):
            sign, colour = _EVENTS.get(event.event, ("·", "grey62"))
            name = event.event.replace("_", " ")
            line = Text.assemble(
                (_fitted(clock(event.time_s), LABEL - 2 if options.max_width >= NARROW else 7), "grey62"),
                "  ",
                (sign, colour),
                "  ",
                (_fitted(name, 20) if options.max_width >= NARROW else name, colour),
                "  ",
                ("  ".join(about(event)), "grey62"),
            )
            line.truncate(options.max_width, overflow="ellipsis")
            yield line
        if not shown:
            yield Text(" " * LABEL + "no events yet", style="grey37")
        yield from [Text()] * (EVENTS_SHOWN - max(1, len(shown)))


def about(event: Event) -> list[str]:
    """Cycle, duration and phase of an event, where it has them."""
    durations = [event.details.get(key) for key in ("duration_s", "dwell_s")]
    return [
        *([f"cycle {event.cycle}"] if event.cycle else []),
        *(f"{_number(value, '.1f')} s" for value in durations if isinstance(value, float)),
        *([clean(event.phase)] if event.phase else []),  # the last: a long name is what is cut off
    ]


def _fitted(text: str, width: int) -> str:
    """Text in exactly `width` columns of a terminal, where a Chinese character takes two; shortened with an ellipsis."""
    if width <= 0:
        return ""
    return set_cell_size(text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…", width)


def clean(text: str, longest: int = 60) -> str:
    """A peer's text as it may be shown: no control characters (a terminal obeys them), not endless."""
    return "".join(c if c.isprintable() else "�" for c in text[:longest])


def _number(value: float | None, how: str) -> str:
    return format(value, how) if value is not None and math.isfinite(value) else "–"


def clock(seconds: float) -> str:
    """Minutes and seconds, from an hour on with hours: 01:05.0, 2:01:05.0."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"


def watch(address: str, requests: str, console: Console, keys: ClientKeys | None = None) -> None:
    """Show a running station until Ctrl-C; as lines of text where there is no terminal. Raises BusError for a malformed
    address.
    """
    from rich.live import Live

    from clients.lines import Lines
    from engine.subscriber import Subscriber

    with Subscriber(address, requests, keys=keys) as bus, ExitStack() as stack:
        view: View | Lines
        if console.is_terminal:
            view = View(trouble=f"listening at {address}")
            stack.enter_context(Live(view, console=console, refresh_per_second=10))
        else:
            view = Lines(console.file)
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
