"""`lockstep evaluate`: how good an embedding is offline, and how good the follower is on streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def evaluate() -> None:
    """Every figure stands beside its controls: what a clock, raw keypoints and an untrained network would reach."""


@app.command()
def offline(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder in the format of our Penn Action copy (default: $LOCKSTEP_DATA, ../shared/data)."),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Bundle, by name or folder (default: the shipped ones).")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Checkpoint folder instead of a bundle.")] = None,
    actions: Annotated[
        str | None,
        typer.Option(help="Comma-separated (default: all but jump_rope and strum_guitar, as in the papers)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="First seed.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="Seeds of subsets, references and streams.", min=1, max=100)] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for results.md, results.json and pictures.")
    ] = None,
) -> None:
    """The paper's protocol and the clock-free one side by side, on validation clips, with four controls and robustness."""
    import json
    import shlex
    import sys

    from rich.console import Console

    from clients.progress import steps_bar
    from engine.errors import ConfigError
    from training.datasets.penn import load_penn
    from training.evaluate.controls import keypoints
    from training.evaluate.lineup import line_up
    from training.evaluate.offline import choose_actions
    from training.evaluate.offline import evaluate as evaluate_offline
    from training.evaluate.pictures import draw_all
    from training.evaluate.robustness import robustness
    from training.evaluate.tables import machine, markdown, summarise

    if bundle is not None and checkpoint is not None:
        raise ConfigError("--bundle and --checkpoint were both given", expected="one of them")
    for path in (json_file, output / "results.md" if output else None):
        _make_folder_of(path)
    dataset = load_penn(data)
    chosen, left_out = choose_actions(dataset, actions.split(",") if actions else None)
    lineup = line_up(bundle, checkpoint, seed)
    labelled = [action for action in chosen if action.labelled]
    judged = list(range(seed, seed + seeds))
    model = lineup.candidates[lineup.rows["clock_free"]["lockstep"]].features
    console = Console(stderr=True)
    total = len(chosen) * len(lineup.candidates) + (3 if output else 2) * len(labelled)
    with steps_bar(console, total) as step:
        results = evaluate_offline(lineup.candidates, chosen, judged, step)
        damaged = {
            row: robustness(lineup.candidates[name].features, chosen, seed, step)
            for row, name in lineup.rows["clock_free"].items()
            if row in ("lockstep", "keypoints")
        }
        if output:
            for action in labelled:
                step(f"{action.name}: pictures")
                draw_all(output, model, keypoints, action)
    record = {
        "command": shlex.join(["lockstep", *sys.argv[1:]]),
        "machine": machine(),
        "seeds": judged,
        "data": {"clips": len(dataset.clips), "actions": len(chosen), "labelled_actions": len(labelled)},
        "models": {
            f"{row} ({section})": lineup.described[name]
            for section, rows in lineup.rows.items()
            for row, name in rows.items()
        },
        **summarise(results, lineup),
        "robustness": damaged,
        "left_out": left_out,
        "problems": dataset.problems,
    }
    text = markdown(record)
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if output:
        (output / "results.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (output / "results.md").write_text(text, encoding="utf-8")
        console.print(f"written to {output}", highlight=False)
    typer.echo(text)


@app.command()
def ablate(
    config: Annotated[Path, typer.Argument(help="Table of variants; see configs/ablations/.")],
    data: Annotated[Path | None, typer.Option(help="Penn Action copy to judge on (default: as for `offline`).")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the runs (default: runs/ablations/NAME).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training steps of every variant, instead of the file's.", min=1)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table here.")] = None,
) -> None:
    """Train and judge every variant of a table. Interrupted, it goes on where it was; finished rows are kept."""
    import json
    import shlex
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.datasets.penn import load_penn
    from training.evaluate.ablation import load_ablation, run_ablation
    from training.evaluate.page import ablation_markdown
    from training.evaluate.tables import machine

    table, base = load_ablation(config)
    _make_folder_of(json_file)
    folder = output or Path("runs") / "ablations" / config.stem
    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("")
        record = run_ablation(
            table,
            base,
            load_penn(data),
            folder,
            steps=steps,
            told=lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
        )
    record = {"command": shlex.join(["lockstep", *sys.argv[1:]]), "machine": machine(), **record}
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    typer.echo("\n".join(ablation_markdown(record)))


@app.command()
def page(
    records: Annotated[Path, typer.Option(help="Folder of recorded results.")] = Path("docs/results"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write.")] = Path("docs/results.md"),
) -> None:
    """Write docs/results.md from recorded results: targets, tables, and the commands that gave them."""
    from training.evaluate.page import page as written

    text = written(records)
    _make_folder_of(output)
    output.write_text(text, encoding="utf-8")
    typer.echo(f"written to {output}")


def _make_folder_of(path: Path | None) -> None:
    """Before minutes of work, not after. Raises ConfigError."""
    from engine.errors import ConfigError

    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}", found=error.strerror or str(error), next_step="Choose another place."
            ) from None


@app.command()
def online(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder in the format of our Penn Action copy (default: $LOCKSTEP_DATA, ../shared/data)."),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Bundle, by name or folder (default: the shipped one).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of streams, references and stations.", min=0)] = 0,
    draws: Annotated[int, typer.Option(help="Draws of reference clips per action.", min=1, max=100)] = 5,
    streams: Annotated[int, typer.Option(help="Most streams per action.", min=1)] = 16,
    stations: Annotated[int, typer.Option(help="Stations through the pose estimator.", min=0)] = 2,
    joints: Annotated[int, typer.Option(help="Stations from true joints with jitter, no pixels.", min=0)] = 12,
    tuning: Annotated[
        bool, typer.Option("--tuning", help="Streams of the tuning split instead of validation.")
    ] = False,
    matchmaker: Annotated[
        str | None, typer.Option(help="Python that has pymatchmaker 0.3.0 installed (default: this one).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
) -> None:
    """Followers on streams: Penn Action clips made into streams, and rendered stations, against peers and controls."""
    import json
    import shlex
    import sys

    from rich.console import Console

    from clients.progress import steps_bar
    from engine.bundle import open_bundle
    from training.datasets.penn import load_penn
    from training.evaluate.online import penn, tables
    from training.evaluate.online import stations as rendered
    from training.evaluate.tables import machine

    _make_folder_of(json_file)
    opened = open_bundle(bundle)
    python, reason = penn.find_matchmaker(matchmaker)
    record: dict[str, object] = {
        "command": shlex.join(["lockstep", *sys.argv[1:]]),
        "bundle": repr(opened),
        "seed": seed,
        "split": "tuning" if tuning else "test",
        "machine": machine(),
    }
    dataset = load_penn(data)
    actions = [name for name in dataset.actions if dataset.select(action=name, labelled=True)]
    with steps_bar(Console(stderr=True), len(actions) + stations + joints) as step:
        tasks = penn.prepare(dataset, opened, seed, draws, streams, "tuning" if tuning else "test", actions)
        judged = {}
        for name in actions:
            step(f"{name}: streams")
            if (task := next(tasks, None)) is not None:
                judged[task.name] = penn.judge_action(task, opened, python)
        record["penn"] = penn.summarise(judged) | ({"skipped": f"OLTW: {reason}"} if reason else {})
        for section, count, poses_of in (
            ("station", stations, rendered.seen_poses),
            ("station_joints", joints, rendered.jittered_joints),
        ):
            followings, controls = [], []
            for takes, worker in rendered.workers(seed + (10_000 if tuning else 0), count):
                step(f"station {worker.seed}")
                recorded, live = [poses_of(take) for take in takes], poses_of(worker)
                followings.append(rendered.follow(live, rendered.station_reference(recorded, opened), opened))
                joints_reference = rendered.station_reference(recorded, opened, "keypoints")
                controls.append(rendered.follow_keypoints(live, joints_reference))
            if followings:
                record[section] = rendered.score(followings) | {
                    "keypoints": rendered.score(controls),
                    "peers": rendered.peer_figures(followings),
                }
    if json_file:
        json_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    typer.echo(tables.markdown(record))
