"""What a run leaves behind: the JSON summary for scripts, the timeline picture, the HTML report, and a few lines of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clients.report import write_report
from engine.errors import ConfigError
from engine.station import Station
from engine.timeline import Timeline

PICTURES = (".png", ".svg", ".pdf")


def summary(station: Station, timeline: Timeline) -> dict[str, Any]:
    """The figures of a run as JSON: counts, phases as [name, start_s, end_s], events, latencies per stage."""
    latency = station.latency.summary()
    return {
        "station": station.name,
        "frames": station.frames,
        "dropped": station.source.dropped,
        "ticks": station.ticks,
        "fps": round(station.mean_fps, 2),
        "cycles_counted": timeline.cycles_counted,
        "phases": [[name, round(start, 3), round(end, 3)] for name, start, end in timeline.segments()],
        "events": [
            {
                "event": e.event,
                "time_s": round(e.time_s, 3),
                "noticed_s": round(e.noticed_s, 3),
                "cycle": e.cycle,
                "phase": e.phase,
            }
            for e in timeline.events
        ],
        "after_pose_p95_ms": latency.get("after_pose", {}).get("p95", 0.0),
        "latency_ms": latency,
    }


def check_writable(path: Path | None) -> None:
    """Makes its folder and tries whether it can be written: before minutes of work, not after. Raises ConfigError."""
    if path is not None:
        new = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
            if new:
                path.unlink()
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}", found=error.strerror or str(error), next_step="Choose another place."
            ) from None


def check_picture(path: Path | None) -> None:
    """The same for a picture that is drawn at the end. Raises ConfigError, also for a name that is none of a picture."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise ConfigError(
            f"cannot draw into {path}", expected=f"a name ending in {', '.join(PICTURES)}", found=path.name
        )
    check_writable(path)


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Raises ConfigError if the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}", found=error.strerror or str(error), next_step="Choose another --json file."
        ) from None


def write_pictures(
    folder: Path, title: str, subtitle: str, figures: dict[str, str], station: Station, timeline: Timeline
) -> list[Path]:
    """`timeline.png` and `report.html` in `folder`; returns their paths. Raises ConfigError if they cannot be written."""
    from clients.plots import timeline_figure

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write into {folder}", found=error.strerror or str(error), next_step="Choose another folder."
        ) from None
    picture, page = folder / "timeline.png", folder / "report.html"
    timeline_figure(timeline, title).savefig(picture, dpi=130)
    write_report(page, title, subtitle, figures, timeline, station.latency.summary(), picture)
    return [picture, page]
