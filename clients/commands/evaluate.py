"""`lockstep evaluate`: how good an embedding is offline, and how good the follower is on streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from engine.bundle import Bundle

STATIONS_DRAWN = 3
"""By `online --output`, of those through the estimator and of those from true joints."""

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
    from rich.console import Console

    from clients.progress import steps_bar
    from clients.results import check_writable
    from engine.errors import ConfigError
    from training.datasets.penn import load_penn
    from training.evaluate.controls import keypoints
    from training.evaluate.lineup import line_up
    from training.evaluate.offline import choose_actions
    from training.evaluate.offline import evaluate as evaluate_offline
    from training.evaluate.pictures import draw_all
    from training.evaluate.records import origin, write_record
    from training.evaluate.robustness import robustness
    from training.evaluate.tables import markdown, summarise

    if bundle is not None and checkpoint is not None:
        raise ConfigError("--bundle and --checkpoint were both given", expected="one of them")
    for path in (json_file, output / "results.md" if output else None):
        check_writable(path)
    dataset = load_penn(data)
    chosen, left_out = choose_actions(dataset, [name.strip() for name in actions.split(",")] if actions else None)
    lineup = line_up(bundle, checkpoint, seed)
    labelled = [action for action in chosen if action.labelled]
    judged = list(range(seed, seed + seeds))
    model = lineup.candidates[lineup.rows["clock_free"]["lockstep"]].features
    console = Console(stderr=True)
    total = len(chosen) * len(lineup.candidates) + (3 if output else 2) * len(labelled)
    with steps_bar(console, total) as step:
        results = evaluate_offline(lineup.candidates, chosen, judged, step)
        # Robustness is measured by the paper's protocol, so its rows have the names that they have there.
        in_paper = {name: row for row, name in lineup.rows["paper"].items()}
        damaged = {
            in_paper[name]: robustness(lineup.candidates[name].features, chosen, seed, step)
            for name in (lineup.rows["clock_free"]["lockstep"], lineup.rows["clock_free"]["keypoints"])
        }
        if output:
            for action in labelled:
                step(f"{action.name}: pictures")
                draw_all(output, model, keypoints, action)
    record = {
        **origin("lockstep"),
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
        write_record(json_file, record)
    if output:
        write_record(output / "results.json", record)
        (output / "results.md").write_text(text, encoding="utf-8")
        console.print(f"written to {output}", highlight=False, soft_wrap=True)
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from clients.results import check_writable
    from training.checks import in_words
    from training.datasets.penn import load_penn
    from training.evaluate.ablation import load_ablation, run_ablation
    from training.evaluate.page import ablation_markdown
    from training.evaluate.records import origin, write_record

    table, base = load_ablation(config)
    check_writable(json_file)
    folder = output or Path("runs") / "ablations" / config.stem
    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("")
        record = run_ablation(
            table,
            base,
            load_penn(data),
            folder,
            steps=steps,
            told=lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
        )
    if record["problems"]:
        console.print(in_words(record["problems"]), style="yellow", highlight=False, markup=False)
    record = {**origin("lockstep"), **record}
    if json_file:
        write_record(json_file, record)
    typer.echo("\n".join(ablation_markdown(record)))


@app.command()
def page(
    records: Annotated[Path, typer.Option(help="Folder of recorded results.")] = Path("docs/results"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pages.")] = Path("docs"),
) -> None:
    """Write docs/results.md and docs/online_results.md from recorded results: targets, tables, and the commands that gave them."""
    from clients.results import check_writable
    from training.evaluate.online.page import page as online_page
    from training.evaluate.page import page as offline_page

    pages = {"results.md": offline_page(records), "online_results.md": online_page(records)}
    for name, text in pages.items():
        check_writable(output / name)
        (output / name).write_text(text, encoding="utf-8")
        typer.echo(f"written to {output / name}")


@app.command()
def online(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder in the format of our Penn Action copy (default: $LOCKSTEP_DATA, ../shared/data)."),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Bundle, by name or folder (default: the shipped one).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of streams, references and stations.", min=0)] = 0,
    draws: Annotated[int, typer.Option(help="Draws of reference clips per action.", min=1, max=100)] = 5,
    streams: Annotated[int, typer.Option(help="Most streams per action (0: no Penn Action at all).", min=0)] = 16,
    stations: Annotated[int, typer.Option(help="Stations through the pose estimator.", min=0)] = 2,
    joints: Annotated[int, typer.Option(help="Stations from true joints with jitter, no pixels.", min=0)] = 12,
    tuning: Annotated[
        bool, typer.Option("--tuning", help="Streams of the tuning split instead of validation.")
    ] = False,
    matchmaker: Annotated[
        str | None, typer.Option(help="Python that has pymatchmaker 0.3.0 installed (default: this one).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for pictures of the first stations.")
    ] = None,
) -> None:
    """Followers on streams: Penn Action clips made into streams, and rendered stations, against peers and controls."""
    from rich.console import Console

    from clients.progress import steps_bar
    from clients.results import check_writable
    from clients.station_pictures import delay_figure, draw_station
    from engine.bundle import open_bundle
    from training.evaluate.online import splits, station_scores, tables
    from training.evaluate.online import stations as rendered
    from training.evaluate.records import finite, origin, write_record

    check_writable(json_file)
    check_writable(output / "delays.png" if output else None)
    opened = open_bundle(bundle)
    record: dict[str, Any] = {
        **origin("lockstep"),
        "options": {"draws": draws, "streams": streams, "stations": stations, "joints": joints},
        "bundle": {"name": opened.info.name, "sha256": opened.sha256},
        "seed": seed,
        "split": splits.split_of(seed, tuning),
    }
    console = Console(stderr=True)
    if streams:
        record["penn"] = _judge_streams(console, data, opened, seed, draws, streams, tuning, matchmaker)
    with steps_bar(console, stations + joints) as step:
        for section, count, poses_of in (
            ("station", stations, rendered.seen_poses),
            ("station_joints", joints, rendered.jittered_joints),
        ):
            followings, controls = [], []
            for takes, worker in rendered.workers(seed + (splits.TUNING_OFFSET if tuning else 0), count):
                step(f"station {worker.seed}")
                recorded, live = [poses_of(take) for take in takes], poses_of(worker)
                followings.append(rendered.follow(live, rendered.station_reference(recorded, opened), opened))
                joints_reference = rendered.station_reference(recorded, opened, "keypoints")
                controls.append(rendered.follow_keypoints(live, joints_reference))
                if output and len(followings) <= STATIONS_DRAWN:
                    title = f"{tables.SECTIONS[section]}, no. {len(followings)} of seed {seed}"
                    belief = rendered.belief_of(followings[-1])
                    draw_station(output, f"{section}_{len(followings)}", title, followings[-1], belief)
            if followings:
                record[section] = station_scores.score(followings) | {
                    "keypoints": station_scores.score(controls),
                    "peers": station_scores.peer_figures(followings),
                }
    record = finite(record)
    if output:
        delay_figure(tables.delays(record)).savefig(output / "delays.png", dpi=120)
        console.print(f"pictures in {output}", highlight=False, soft_wrap=True)
    if json_file:
        write_record(json_file, record)
    typer.echo(tables.markdown(record))


def _judge_streams(
    console: Console,
    data: Path | None,
    bundle: Bundle,
    seed: int,
    draws: int,
    streams: int,
    tuning: bool,
    matchmaker: str | None,
) -> dict[str, Any]:
    from clients.progress import steps_bar
    from training.datasets.penn import load_penn
    from training.evaluate.online import penn

    python, reason = penn.find_matchmaker(matchmaker)
    dataset = load_penn(data)
    actions = [name for name in dataset.actions if dataset.select(action=name, labelled=True)]
    with steps_bar(console, len(actions)) as step:
        tasks = penn.prepare(dataset, bundle, seed, draws, streams, "tuning" if tuning else "test", actions)
        judged = {}
        for name in actions:
            step(f"{name}: streams")
            if (task := next(tasks, None)) is not None:
                judged[task.name] = penn.judge_action(task, bundle, python)
    return penn.summarise(judged) | ({"skipped": f"OLTW: {reason}"} if reason else {})
