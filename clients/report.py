"""The report of a run as one self-contained HTML page: headline figures, timeline, what went wrong, cycles, latency, all events."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from clients.watch import clock
from engine.messages import Event
from engine.timeline import Timeline

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #e4e7ec; --card: #ffffff; --page: #f6f7f9; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaf0; --soft: #98a2b3; --line: #2b3242; --card: #171c27; --page: #0f131b; --bad: #ff8a7a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 36px 0 10px; } p.sub { color: var(--soft); margin: 0 0 24px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.figure b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; } .figure span { color: var(--soft); font-size: 13px; }
img { width: 100%; border: 1px solid var(--line); border-radius: 10px; background: #fff; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; }
table { width: 100%; border-collapse: collapse; background: var(--card); }
summary { font-size: 17px; font-weight: bold; margin: 36px 0 10px; cursor: pointer; }
th, td { text-align: left; padding: 7px 12px; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; font-size: 13px; } tr:last-child td { border-bottom: 0; } .bad { color: var(--bad); }
"""

_ALERTS = {
    *("cycle_abandoned", "phase_skipped", "phase_out_of_order", "phase_repeated", "paused", "off_task", "slow"),
    *("operator_lost", "stream_lost", "stage_down"),
}

_EVENT_COLUMNS = ["time", "event", "phase", "cycle", "confidence", "noticed after"]


def write_report(
    path: Path,
    title: str,
    subtitle: str,
    figures: dict[str, str],
    timeline: Timeline,
    latency: dict[str, dict[str, float]],
    picture: Path,
) -> None:
    """Writes the page. `figures` are headline values by label; `picture` is the timeline's PNG, embedded."""
    image = base64.b64encode(picture.read_bytes()).decode()
    body = [
        f"<h1>{html.escape(title)}</h1><p class=sub>{html.escape(subtitle)}</p><div class=figures>",
        *(
            f"<div class=figure><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>"
            for label, value in figures.items()
        ),
        f'</div><h2>Timeline</h2><img alt="Timeline of phases, rate and events" src="data:image/png;base64,{image}">',
        "<h2>What went wrong</h2>",
        _table(_EVENT_COLUMNS, [_event_row(event) for event in timeline.events if event.event in _ALERTS]),
        "<h2>Cycles</h2>",
        _table(["cycle", "finished at", "duration", *timeline.phase_names], _cycle_rows(timeline)),
        "<h2>Latency, milliseconds per frame or tick</h2>",
        _table(
            ["stage", "p50", "p95", "p99", "samples"],
            [
                [stage, f"{v['p50']:.2f}", f"{v['p95']:.2f}", f"{v['p99']:.2f}", f"{v['count']:.0f}"]
                for stage, v in latency.items()
            ],
        ),
        # Mostly phases that began and ended as they should: of a shift thousands, so they are folded away.
        f"<details><summary>All {len(timeline.events)} events</summary>",
        _table(_EVENT_COLUMNS, [_event_row(event) for event in timeline.events]),
        "</details>",
    ]
    path.write_text(
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><main>{''.join(body)}</main></html>",
        encoding="utf-8",
    )


def _cycle_rows(timeline: Timeline) -> list[list[str]]:
    rows = []
    for event in timeline.events:
        if event.event == "cycle_finished":
            durations: Any = event.details.get("durations_s") or []
            total = event.details.get("duration_s")
            whole = f"{total:.1f} s" if isinstance(total, float) else f"{sum(durations):.1f} s"
            rows.append([str(event.cycle), clock(event.time_s), whole, *(f"{seconds:.1f} s" for seconds in durations)])
    return rows


def _event_row(event: Event) -> list[str]:
    name = html.escape(event.event.replace("_", " "))
    label = f"<span class=bad>{name}</span>" if event.event in _ALERTS else name
    delay = max(0.0, event.noticed_s - event.time_s)
    return [
        clock(event.time_s),
        label,
        html.escape(event.phase or ""),
        str(event.cycle),
        f"{event.confidence:.2f}",
        f"{delay:.2f} s",
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return "<p class=sub>None.</p>"
    header = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=wide><table><tr>{header}</tr>{body}</table></div>"
