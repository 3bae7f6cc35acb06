"""Functions compiled by Numba, their machine code kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options, cached beside the source or under the user's cache folder.

    An account without a home under a read-only installation (a service) has neither, which Numba takes for an error; the
    function is then compiled at every start, some seconds later.
    """

    def compile_it(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return compile_it
