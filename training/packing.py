"""The network as it is trained: only ticks that exist go through the frame encoder, whatever the padding of the batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoder import hide
from models.lockstep_net import LockstepNet
from training.batches import VIEWS
from training.drawing import draw_patches


class Packed(nn.Module):
    """Same embeddings as `net` at the ticks that are present (a test compares them), for about half of the work.

    `sparse`: heatmaps are drawn by `training.drawing`, which is faster on a CPU.
    """

    def __init__(self, net: LockstepNet, sparse: bool) -> None:
        super().__init__()
        self.net, self.sparse = net, sparse

    def forward(self, keypoints: Tensor, present: Tensor) -> Tensor:
        """keypoints (N, T, K, 3) crop coordinates, present (N, T) → embeddings (N, T, E), unit length.

        With cross-attention, the streams of one recording, which stand side by side in a batch, attend to each other.
        """
        net = self.net
        x = net.temporal(self._tokens(keypoints, present), present)
        if len(net.cross):
            other = x.view(-1, VIEWS, *x.shape[1:]).flip(1).flatten(0, 1)
            seen = present.view(-1, VIEWS, present.shape[1]).flip(1).flatten(0, 1)
            x = net.attend_across(x, other, hide(seen))
        projected = net.projected(x[present])
        if self.training:
            net.centring.follow(projected)
        z = projected.new_zeros(*present.shape, projected.shape[-1])
        z[present] = F.normalize(net.centring(projected), dim=-1)
        return z

    def _tokens(self, keypoints: Tensor, present: Tensor) -> Tensor:
        net = self.net
        row, tick = present.nonzero(as_tuple=True)
        past = keypoints.new_zeros(len(keypoints), net.memory, *keypoints.shape[2:])
        padded = torch.cat([past, keypoints], dim=1)
        if self.sparse:
            at = tick + net.memory
            patches = draw_patches(net, padded[row, at], [padded[row, at - delay] for delay in net.config.motion])
            tokens = net.frames.encode(patches)
        else:
            seen = torch.stack([padded[row, tick + lag] for lag in range(net.memory + 1)], dim=1)
            tokens = net.frames(net._draw(seen, 1)[:, 0])
        out = tokens.new_zeros(*present.shape, tokens.shape[-1])
        out[row, tick] = tokens
        return out
