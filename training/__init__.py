"""Everything that produces a checkpoint and judges it: datasets, augmentation, objectives, trainer, evaluation.

Never imported by `engine`.
"""
