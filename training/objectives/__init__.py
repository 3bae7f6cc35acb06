"""Training objectives: pure functions of embeddings and what is known about the ticks, combinable by weights.

    objective(z (N, T, E) unit-length embeddings, ticks: Ticks) -> scalar

An objective never sees the network, so any of them trains any encoder.
"""

from training.objectives.base import Objective, Ticks
from training.objectives.contrastive_regression import contrastive_regression
from training.objectives.cross_video import cross_video
from training.objectives.lav import lav
from training.objectives.progress_contrastive import progress_contrastive
from training.objectives.realigned import realigned
from training.objectives.sequence_contrastive import sequence_contrastive
from training.objectives.tcc import tcc

OBJECTIVES: dict[str, Objective] = {
    "contrastive_regression": contrastive_regression,
    "sequence_contrastive": sequence_contrastive,
    "cross_video": cross_video,
    "progress_contrastive": progress_contrastive,
    "realigned": realigned,
    "tcc": tcc,
    "lav": lav,
}

__all__ = ["OBJECTIVES", "Objective", "Ticks"]
