"""Compiled functions work also where nothing can be kept on disk."""

import numba
import pytest

from engine.compiled import compiled


def test_a_function_whose_machine_code_can_be_kept_nowhere_is_compiled_all_the_same():
    namespace = {}
    exec(compile("def twice(x): return 2 * x", "<of no file>", "exec"), namespace)  # as for an account without a home
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(namespace["twice"])
    assert compiled()(namespace["twice"])(21) == 42
