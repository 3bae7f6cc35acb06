"""Numba for the whole live path: machine code is kept on disk where it can be, and made anew at every start where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with a cache on disk; without one where neither the package nor the user's cache can be written."""

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": a service without a home, a read-only installation
            return numba.njit(**options)(function)

    return wrap
