"""What the align stage remembers, as bytes: named arrays and the item they are the state after. No pickles."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.links.items import BROKEN, Mark

FORMAT = 7
"""Raised whenever the aligner's state holds other things than before."""
_DTYPES = {"<f4", "<f8", "<i4", "<i8", "|b1", "|u1", "|i1", "<u4", "<u8", "<f2"}


class _Array(msgspec.Struct, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Checkpoint(msgspec.Struct):
    mark: Mark
    arrays: dict[str, _Array]
    made_for: str
    format: int = FORMAT


def dump(mark: Mark, state: dict[str, NDArray[Any]], made_for: str) -> bytes:
    """`made_for` names the bundle and the reference: with others this state means nothing."""
    arrays = {name: _Array(array.dtype.str, array.shape, array.tobytes()) for name, array in state.items()}
    return msgspec.msgpack.encode(_Checkpoint(mark, arrays, made_for))


def load(data: bytes, made_for: str) -> tuple[Mark, dict[str, NDArray[Any]]] | None:
    """None for what is not a checkpoint of this format and purpose: the station then starts as if for the first time."""
    try:
        saved = msgspec.msgpack.decode(data, type=_Checkpoint)
        if saved.format != FORMAT or saved.made_for != made_for:
            return None
        if any(array.dtype not in _DTYPES for array in saved.arrays.values()):
            return None
        return saved.mark, {
            name: np.frombuffer(array.data, array.dtype).reshape(array.shape).copy()
            for name, array in saved.arrays.items()
        }
    except (*BROKEN, ValueError):
        return None
