"""Training objectives: functions of embeddings and what is known about the ticks, combinable by weights.

    objective(z (N, T, E) unit-length embeddings, ticks: Ticks) -> scalar

An objective never sees the network, so any of them trains any encoder. Most are pure; one learns weights of its own.
"""

from training.objectives.base import Objective, Ticks
from training.objectives.weighted import OBJECTIVES, WeightedObjectives

__all__ = ["OBJECTIVES", "Objective", "Ticks", "WeightedObjectives"]
