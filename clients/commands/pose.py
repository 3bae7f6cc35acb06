"""`lockstep pose`: recordings in, pose tracks out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    videos: Annotated[list[str], typer.Argument(help="Videos, or folders of images.", metavar="VIDEO")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tracks, one .npz per video.")],
    estimator: Annotated[
        str, typer.Option(help="mediapipe (body), mediapipe-hands, rtmpose-onnx (needs --model).")
    ] = "mediapipe",
    model: Annotated[
        Path | None, typer.Option(help="Model file for the estimator (default: the packaged one).")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Where the operator is: 'left,top,right,bottom' or 'x,y x,y x,y …', as fractions 0–1."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Convert to this layout (default: the estimator's own).")] = None,
) -> None:
    """Finished tracks are kept and interrupted ones made again; a broken video does not stop the others (status 2)."""
    import time

    from rich.console import Console

    from clients.progress import progress_bar
    from engine.errors import ConfigError, LockstepError
    from engine.pose.extraction import check_layout, extract, is_finished, origin, share_seen, targets
    from engine.pose.locating import Locator
    from engine.pose.opening import open_estimator
    from engine.pose.selection import parse_region
    from engine.sources.opening import open_source

    console = Console(stderr=True)
    area = None if region is None else parse_region(region)
    settings = {
        "estimator": estimator,
        "model": str(model) if model else None,
        "region": region,
        "layout": check_layout(layout),
    }
    tracks = targets(videos, output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {output}", found=error.strerror or str(error), next_step="Choose another folder with -o."
        ) from None

    locator = Locator(open_estimator(estimator, model=model), layout=layout, area=area)
    failed: list[str] = []
    for video, target in zip(videos, tracks, strict=True):
        made_from = origin(Path(video), settings)
        if is_finished(target, made_from):
            console.print(f"{target}  kept", highlight=False)
            continue
        try:
            started_s = time.monotonic()
            source = open_source(video)
            try:
                with progress_bar(console, Path(video).name, getattr(source, "duration_s", None)) as advance_to:
                    track = extract(source, locator, estimator=estimator, each_frame=advance_to)
            finally:
                source.close()
            track.labels["made_from"] = made_from
            track.save(target)
        except (LockstepError, OSError) as error:
            failed.append(video)
            console.print(f"{video}  failed: {error}", style="red", highlight=False, markup=False)
            continue
        frames, seconds = len(track.times_s), time.monotonic() - started_s
        console.print(
            f"{target}  {frames} frames, operator seen in {share_seen(track):.0%}, {frames / seconds:.0f} frames/s",
            highlight=False,
        )
    locator.close()
    if failed:
        console.print(
            f"{len(failed)} of {len(videos)} failed: {', '.join(failed)}", style="red", highlight=False, markup=False
        )
        raise typer.Exit(2)
