"""A rendered station: a drawn worker at a workbench, with exact ground truth for every frame.

parameters → performance (what is done when: `simulate`) → kinematics (joints) → scene + worker (pixels: `RenderedStation`)
"""

from engine.sources.rendered.parameters import NOMINAL_S, PHASES, Deviation, StationParams
from engine.sources.rendered.performance import simulate
from engine.sources.rendered.station import RenderedStation
from engine.sources.rendered.truth import FrameTruth, Truth, TruthEvent

__all__ = [
    "NOMINAL_S",
    "PHASES",
    "Deviation",
    "FrameTruth",
    "RenderedStation",
    "StationParams",
    "Truth",
    "TruthEvent",
    "simulate",
]
