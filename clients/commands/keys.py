"""`lockstep keys`: who may listen to a station across a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine import security

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[Path, typer.Argument(help="Key folder of a station or a client.")]


@app.command()
def new(folder: Folder) -> None:
    """Make a key pair for a station or for a client; the public key is printed."""
    typer.echo(security.new_keys(folder))


@app.command()
def authorize(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="A name for the client.")],
    key: Annotated[str, typer.Argument(help="The client's public key, or the file that holds it.")],
) -> None:
    """Let a client connect to the station whose folder this is; at once, no restart."""
    security.authorize(folder, name, key)
    typer.echo(f"{name} may connect")


@app.command()
def revoke(folder: Folder, name: Annotated[str, typer.Argument(help="Name given to `authorize`.")]) -> None:
    """Shut a client out, within a second, also if it is connected."""
    security.revoke(folder, name)
    typer.echo(f"{name} may no longer connect")


@app.command("list")
def show(folder: Folder) -> None:
    """Names and public keys of those who may connect."""
    security.own_key(folder)
    for name, key in security.authorized(folder).items():
        typer.echo(f"{name}\t{key}")
