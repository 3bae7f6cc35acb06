"""Heatmaps against a plain loop over pixels written from the paper's equations."""

import numpy as np
import pytest
import torch

from models.heatmaps import Heatmaps

LIMBS = [(0, 1), (1, 2)]
SIGMA = 1.0


def by_the_book(pose: np.ndarray, grid: int = 12) -> np.ndarray:
    """LA2DS Eq. 1 and 2, pixel by pixel, with PoseConv3D's rules for faint joints and short limbs."""
    maps = np.zeros((len(pose) + len(LIMBS), grid, grid))
    for i in range(grid):
        for j in range(grid):
            here = np.array([j, i], float)
            for k, (x, y, c) in enumerate(pose):
                if c >= 1e-3:
                    maps[k, i, j] = c * np.exp(-((j - x) ** 2 + (i - y) ** 2) / (2 * SIGMA**2))
            for number, (a, b) in enumerate(LIMBS):
                start, end, c = pose[a, :2], pose[b, :2], min(pose[a, 2], pose[b, 2])
                length = np.linalg.norm(end - start)
                t = 0.0 if length < 1 else np.clip((here - start) @ (end - start) / length**2, 0, 1)
                distance = np.linalg.norm(here - start - t * (end - start))
                if c >= 1e-3:
                    maps[len(pose) + number, i, j] = c * np.exp(-(distance**2) / (2 * SIGMA**2))
    return maps


@pytest.mark.parametrize("seed", range(8))
def test_heatmaps_are_those_of_the_equations(seed):
    rng = np.random.default_rng(seed)
    pose = np.column_stack([rng.uniform(-2, 14, (3, 2)), rng.uniform(0, 1, 3)])
    pose[rng.integers(3), 2] = rng.choice([0.0, 5e-4, 1.0])
    if seed % 2:
        pose[1, :2] = pose[0, :2] + rng.uniform(-0.6, 0.6, 2)  # a limb shorter than a pixel
    drawn = Heatmaps(3, LIMBS, grid=12, sigma=SIGMA)(torch.tensor(pose, dtype=torch.float32))
    np.testing.assert_allclose(drawn.numpy(), by_the_book(pose), atol=1e-5)


def test_each_kind_is_its_part_of_both():
    pose = torch.rand(4, 3, 3) * torch.tensor([12, 12, 1])
    both = Heatmaps(3, LIMBS, "joints+limbs", grid=12)(pose)
    torch.testing.assert_close(both[:, :3], Heatmaps(3, LIMBS, "joints", grid=12)(pose))
    torch.testing.assert_close(both[:, 3:], Heatmaps(3, LIMBS, "limbs", grid=12)(pose))


def test_gradients_reach_the_keypoints_and_are_finite_for_limbs_without_length():
    pose = torch.tensor([[3.0, 3.0, 1.0], [3.0, 3.0, 1.0], [5.0, 4.0, 1.0]], requires_grad=True)
    Heatmaps(3, LIMBS, grid=12)(pose).square().sum().backward()
    assert pose.grad is not None
    assert torch.isfinite(pose.grad).all()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="joints\\+limbs"):
        Heatmaps(3, LIMBS, "bones")
