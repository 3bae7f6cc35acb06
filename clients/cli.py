"""The `lockstep` command: a table of commands, and the one place where errors become a line and exit status 2."""

from __future__ import annotations

import errno
import inspect
import sys
from importlib import import_module

import typer

from engine.errors import LockstepError

# Command → (module in clients.commands, one line of help). Only the module of the command that was asked for is
# imported, so `lockstep --help` is instant. A module offers `command`, a function, or `app`, a group of several.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Follow a rendered worker live: see it work, without a camera."),
    "run": ("run", "Follow a camera, video or stream against a reference."),
    "watch": ("watch", "Watch a running station in the terminal."),
    "reference": ("reference", "Build references from demonstrations, and show them."),
    "pose": ("pose", "Estimate the poses of videos and keep them as tracks."),
    "align": ("align", "Align two recordings: path, pictures, synchronised video."),
    "synth": ("synth", "Render a station as a video with exact ground truth."),
    "train": ("train", "Train a network from a YAML file."),
    "evaluate": ("evaluate", "Judge a network offline, and the live follower on streams."),
    "export": ("export", "Make a bundle of a checkpoint, or an engine of a bundle."),
    "parity": ("parity", "Check that two forms of a network compute the same."),
    "bench": ("bench", "Measure latency and throughput on this machine."),
    "history": ("history", "Show or export cycles, phases and events of the store."),
    "record": ("record", "Run a station and keep its poses, states and events."),
    "replay": ("replay", "Run a recording through the pipeline again."),
    "stage": ("stage", "Run the live path as processes, on one machine or several."),
    "keys": ("keys", "Say who may listen to a station across a network."),
    "doctor": ("doctor", "Say what is installed, what would be used, what is missing."),
}


def build_app(asked: str | None) -> typer.Typer:
    """The application, with the command `asked` for loaded and all others as names with a line of help."""
    app = typer.Typer(
        name="lockstep",
        help="Lockstep follows a person doing repeated work in front of a camera: phase, progress, rate, and what went wrong.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name, (module_name, summary) in COMMANDS.items():
        if name != asked:
            app.command(name, help=summary)(lambda: None)
            continue
        module = import_module(f"clients.commands.{module_name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, help=summary)
        else:
            more = inspect.cleandoc(module.command.__doc__ or "")  # its indentation is of the code, not of the help
            app.command(name, help=f"{summary}\n\n{more}")(module.command)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the console script. A user's mistake ends with one clear line and status 2, never a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    asked = next((word for word in arguments if not word.startswith("-")), None)
    try:
        build_app(asked)(args=arguments)
    except LockstepError as error:
        typer.secho(f"lockstep: {error}", fg="red", err=True)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that is none: no part of Lockstep knows better than the user
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)  # met while writing, these name no file
        if error.filename is None and not full:
            raise
        what, reason = f"use {error.filename}" if error.filename else "write", error.strerror or str(error)
        typer.secho(f"lockstep: cannot {what}: {reason}. Free space, or name another place.", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
