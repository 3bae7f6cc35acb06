"""Hypothesis profiles and how many examples a property test is worth.

`lockstep` (the default) tries the same examples in every run, so that a red suite is red for everybody. `HYPOTHESIS_PROFILE=explore`
tries `EXPLORE` times as many, other ones in every run: see CONTRIBUTING.md.
"""

import os

from hypothesis import HealthCheck, settings

EXPLORE = 10

# Machines differ and are busy: time is for benchmarks.
_BASE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("lockstep", _BASE, derandomize=True)
settings.register_profile("explore", _BASE, derandomize=False, print_blob=True)

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or "lockstep"


def load_profile() -> None:
    settings.load_profile(_PROFILE)


def examples(count: int) -> settings:
    """Settings of a property test that tries `count` examples, or `EXPLORE` times as many where that is asked for."""
    return settings(max_examples=count * (EXPLORE if _PROFILE == "explore" else 1))
