"""`lockstep align A B`: which moment of one recording is which of another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    a: Annotated[str, typer.Argument(help="Video or track (.npz) of one cycle.")],
    b: Annotated[str, typer.Argument(help="Another one of the same work.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for path.csv, the pictures and the video.")],
    bundle: Annotated[str | None, typer.Option(help="Bundle, by name or folder (default: the shipped one).")] = None,
    video: Annotated[bool, typer.Option(help="Also write both, synchronised, side by side.")] = True,
) -> None:
    """Writes path.csv, path.png, correspondence.png, live.png (what a live matcher believed of B) and aligned.mp4.

    A bundle that looks both ways sees whole recordings at once, and there is no live.png of it.
    """
    import csv
    from functools import partial

    import numpy as np
    from rich.console import Console

    from clients.alignment_pictures import correspondence_figure, path_figure, posterior_figure
    from clients.progress import progress_bar
    from clients.side_by_side import write_side_by_side
    from engine.bundle import open_bundle
    from engine.embedder import embed_sequence, open_embedder
    from engine.embedder.whole import WholeRecordings
    from engine.errors import ConfigError
    from engine.matching import dtw
    from engine.matching.building import build_reference
    from engine.matching.hmm import SwitchingMatcher
    from engine.reference_building import Demonstration, embed, read_track

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write into {output}", found=error.strerror or str(error)) from None
    opened = open_bundle(bundle)
    rate_hz, layout = opened.info.rate_hz, opened.info.layout
    causal = opened.info.mode == "causal"
    embedded = partial(embed_sequence, open_embedder(opened)) if causal else WholeRecordings(opened)
    console = Console(stderr=True)
    demos, times_s = [], []
    with progress_bar(console, "reading", None) as advance:
        for recording in (a, b):
            demonstration = Demonstration(recording)
            track = read_track(demonstration, layout, each_frame=lambda name, time_s: advance(time_s))
            ticks_s, demo = embed(track, demonstration, rate_hz, embedded)
            demos.append(demo)
            times_s.append(ticks_s)
    first, second = demos
    path = dtw.align(first.embeddings, second.embeddings)
    names = (Path(a).stem, Path(b).stem if Path(b).stem != Path(a).stem else f"{Path(b).stem} (2)")
    with (output / "path.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a_s", "b_s", "dissimilarity"])
        for i, j in path:
            apart = 1.0 - float(first.embeddings[i] @ second.embeddings[j])
            writer.writerow([f"{times_s[0][i]:.3f}", f"{times_s[1][j]:.3f}", f"{apart:.4f}"])
    cost = 1.0 - first.embeddings @ second.embeddings.T
    path_figure(cost, path, rate_hz, names).savefig(output / "path.png", dpi=120)
    pair = (first.poses, second.poses)
    correspondence_figure(pair, layout, path, rate_hz, names).savefig(output / "correspondence.png", dpi=120)
    if causal:
        reference = build_reference([first], None, opened)
        matcher = SwitchingMatcher(reference)
        belief = np.stack([(matcher.step(e, 1 / rate_hz), matcher.belief)[1] for e in second.embeddings])
        at_b = dtw.carry(path[:, ::-1], len(second.embeddings)) / rate_hz
        live = posterior_figure(times_s[1] - times_s[1][0], belief, reference.duration_s, truth_s=at_b, names=names)
        live.savefig(output / "live.png", dpi=120)
    if video:
        partner = np.maximum.accumulate(np.rint(dtw.carry(path, len(first.embeddings))).astype(np.int64))
        with progress_bar(console, "aligned.mp4", len(partner) / rate_hz) as advance:
            write_side_by_side(
                output / "aligned.mp4", (a, b), pair, (times_s[0], times_s[1]), partner, layout, rate_hz, advance
            )
    typer.echo(f"{len(path)} pairs, mean dissimilarity {float(cost[path[:, 0], path[:, 1]].mean()):.3f}: {output}")
