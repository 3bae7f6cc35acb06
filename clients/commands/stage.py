"""`lockstep stage`: the live path as processes, under a supervisor or one by one on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Station = Annotated[Path, typer.Argument(help="STATION.yaml, the same for all stages.")]


@app.command()
def supervise(station: Station) -> None:
    """Run all stages of a station here, restart what dies or hangs; until the source ends or Ctrl-C."""
    import signal

    from engine.config import load_station
    from engine.logs import log_to_stderr
    from engine.supervisor import Supervisor

    config = load_station(station)
    log_to_stderr(json_lines=config.health.json_logs)
    supervisor = Supervisor(config, station)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.run()


@app.command()
def status(station: Station) -> None:
    """Who runs, who stands by, how often each stage was restarted and when one that is down is tried again; asked on the
    supervisor's machine. Ends with status 1 while a stage does not run.
    """
    import time

    from rich.console import Console
    from rich.table import Table

    from engine.config import load_station
    from engine.errors import ConfigError
    from engine.supervisor import stage_states

    config = load_station(station)
    states = stage_states(config.station)
    if not states:
        raise ConfigError(
            f"no supervisor runs {config.station!r} on this machine",
            next_step=f"Start one: lockstep stage supervise {station}",
        )
    table = Table("stage", "state", "pid", "stand-by", "restarts", title=config.station)
    for stage, how in states.items():
        state, retry_s = how["state"], how["retry_s"]
        if retry_s is not None:
            state += f", again in {max(0.0, retry_s - time.monotonic()):.0f} s"
        standby = "ready" if how["standby_ready"] else "preparing" if how["standby"] else "-"
        table.add_row(stage, state, str(how["pid"] or "-"), standby, str(how["restarts"]))
    Console().print(table)
    if any(how["state"] != "running" for how in states.values()):
        raise typer.Exit(1)


def _one(stage: str) -> None:
    @app.command(stage, help=f"Run the {stage} stage alone, here; the others elsewhere.")
    def command(station: Station) -> None:
        import signal
        import sys

        from engine.config import load_station
        from engine.logs import log_to_stderr
        from engine.stages import prepare

        config = load_station(station)
        log_to_stderr(json_lines=config.health.json_logs, stage=stage)
        run = prepare(stage, config)
        # From now on there is something to put in order: shared memory has a name, and would outlive this process.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        run(lambda: None)


for _stage in ("capture", "pose", "align", "publish"):
    _one(_stage)
