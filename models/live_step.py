"""The step of a trained network, rearranged for speed: the same function as `LockstepNet.step`, a third of the work around it.

What differs from the readable form, and why:
- Heatmaps are drawn once and remembered for the motion channels, not drawn again at every tick that looks back at them.
- They are drawn in the order in which patches are read. Distances along and across each limb are linear in the pixel's
  place, so one small matrix product gives them for all pixels; a joint is a limb without length.
- Query, key and value are one product; keys and values are cached per head, as attention reads them.
- No shape depends on the batch but the first, so an exported graph computes no shapes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import skeleton
from models.attention import MASKED, Block
from models.heatmaps import LEAST_CONFIDENCE, SHORTEST_LIMB
from models.lockstep_net import LockstepNet

State = dict[str, Tensor]
NOT_DRAWN = -1e4
"""Logarithm of a confidence too small to be drawn: its exponential is 0."""


class LiveStep(nn.Module):
    """Built from a network in evaluation mode; holds copies of its weights. `initial_state` and `step` as the network's."""

    starts: Tensor
    ends: Tensor
    places: Tensor
    across: Tensor
    sideways: Tensor
    embed: Tensor
    place_bias: Tensor
    bias: Tensor

    def __init__(self, net: LockstepNet) -> None:
        super().__init__()
        self.net, self.config, self.joints = net, net.config, net.joints
        config, frames = net.config, net.frames
        layout, patch = skeleton.layout(config.layout), config.patch
        self.channels, self.memory = net.heatmaps.channels, net.memory
        self.pixels, self.patches = patch * patch, (config.grid // patch) ** 2
        joints = [(k, k) for k in range(layout.size)] if net.heatmaps.draws_joints else []
        segments = joints + (list(layout.limbs) if net.heatmaps.draws_limbs else [])
        self._constant("starts", torch.tensor([a for a, _ in segments]))
        self._constant("ends", torch.tensor([b for _, b in segments]))
        self.scale = net.heatmaps.scale
        self._constant("places", _patch_places(config.grid, patch) * self.scale)
        self._constant("across", torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
        self._constant("sideways", torch.tensor([1.0, 0.0]))
        weight = frames.embed.weight.detach()
        per_map = weight.reshape(config.width, 1 + len(config.motion), self.channels * self.pixels)
        self._constant("embed", per_map.permute(1, 2, 0).contiguous())  # (maps, C · patch², D)
        self._constant("place_bias", (frames.positions + frames.embed.bias).detach())
        self.spatial = nn.ModuleList(_FusedBlock(block) for block in frames.blocks)  # type: ignore[arg-type]
        self.causal_depth = config.temporal_depth if config.temporal == "causal" else 0
        blocks = list(net.temporal.blocks) if self.causal_depth else []
        self.temporal = nn.ModuleList(_FusedBlock(block) for block in blocks)  # type: ignore[arg-type]
        if self.causal_depth:
            self._constant("bias", net.temporal.bias.newest().detach()[None].clone())  # (1, H, 1, W)

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def initial_state(self, batch: int) -> State:
        """All zeros: nothing seen yet. Shapes have the batch first."""
        config, past = self.config, self.config.window - 1
        shapes: dict[str, tuple[int, ...]] = {"valid": (past,)}
        if self.memory:
            shapes["drawn"] = (self.memory, self.patches, self.channels * self.pixels)
            shapes["is_drawn"] = (self.memory, self.channels)
        if config.temporal == "full":
            shapes["tokens"] = (past, config.width)
        for layer in range(self.causal_depth):
            shapes[f"keys_{layer}"] = shapes[f"values_{layer}"] = (config.heads, past, config.width // config.heads)
        if self.net.cross and config.temporal == "causal":
            shapes["context"] = (past, config.width)
        return {name: self.embed.new_zeros(batch, *shape) for name, shape in shapes.items()}

    def step(self, keypoints: Tensor, state: State) -> tuple[Tensor, State]:
        """One tick: keypoints (B, K, 3), state → embedding (B, E), next state."""
        following: State = {}
        token = self._token(keypoints, state, following)
        valid = torch.cat([state["valid"], torch.ones_like(state["valid"][:, :1])], dim=1)
        following["valid"] = valid[:, 1:]
        if self.config.temporal == "full":
            tokens = torch.cat([state["tokens"], token[:, None]], dim=1)
            following["tokens"] = tokens[:, 1:]
            return self.net.embed(self.net._window(tokens, valid)), following
        x = token
        hidden = (1.0 - valid)[:, None, None, :] * MASKED  # (B, 1, 1, W)
        if self.causal_depth:
            bias = self.bias + hidden
            for layer, block in enumerate(self.temporal):
                names = f"keys_{layer}", f"values_{layer}"
                x, *moved = block.step(x, *(state[name] for name in names), bias)  # type: ignore[operator]
                following |= dict(zip(names, moved, strict=True))
        x = self.net.temporal.norm(x)
        if self.net.cross:
            context = torch.cat([state["context"], x[:, None]], dim=1)
            following["context"] = context[:, 1:]
            x = self.net.attend_across(x[:, None], context, hidden)[:, 0]
        return self.net.embed(x), following

    def _token(self, keypoints: Tensor, state: State, following: State) -> Tensor:
        """Keypoints (B, K, 3) → the frame's token (B, D); remembers what was drawn."""
        maps, is_drawn = self._draw(keypoints)  # (B, C, 9 · patch²), (B, C)
        in_patches = maps.reshape(-1, self.channels, self.patches, self.pixels).transpose(1, 2)
        now = in_patches.reshape(-1, self.patches, self.channels * self.pixels)
        x = torch.matmul(now, self.embed[0]) + self.place_bias
        if self.memory:
            for index, delay in enumerate(self.config.motion, start=1):
                both = is_drawn * state["is_drawn"][:, self.memory - delay]
                moved = (now - state["drawn"][:, self.memory - delay]).reshape(
                    -1, self.patches, self.channels, self.pixels
                )
                moved = moved * both[:, None, :, None]
                x = x + torch.matmul(moved.reshape(-1, self.patches, self.channels * self.pixels), self.embed[index])
            following["drawn"] = torch.cat([state["drawn"][:, 1:], now[:, None]], dim=1)
            following["is_drawn"] = torch.cat([state["is_drawn"][:, 1:], is_drawn[:, None]], dim=1)
        for block in self.spatial:
            x = block(x)
        return self.net.frames.norm(x).mean(dim=1)

    def _draw(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (B, C, 9 · patch²) of joints and limbs, exp(log c − sideways² − beyond²), and which are drawn (B, C).

        `sideways`: distance from the limb's line; `beyond`: how far past its ends, along it. See `models.heatmaps`.
        """
        a, b = keypoints[:, self.starts], keypoints[:, self.ends]  # (B, C, 3)
        least = torch.minimum(a[..., 2:], b[..., 2:])
        is_drawn = least >= LEAST_CONFIDENCE
        log_confidence = torch.where(
            is_drawn, least.clamp_min(LEAST_CONFIDENCE).log(), torch.full_like(least, NOT_DRAWN)
        )
        start, along = a[..., :2], b[..., :2] - a[..., :2]
        square = (along * along).sum(dim=-1, keepdim=True)
        is_point = square < SHORTEST_LIMB**2
        length = square.clamp_min(1e-12).sqrt()
        unit = torch.where(is_point, self.sideways, along / length)
        reach = torch.where(is_point, torch.zeros_like(length), length) * self.scale  # (B, C, 1)
        normal = torch.matmul(unit, self.across)
        lengthwise = torch.matmul(_line(unit, start), self.places)  # (B, C, pixels)
        sideways = torch.matmul(_line(normal, start), self.places)
        beyond = lengthwise - torch.minimum(lengthwise.relu(), reach)
        maps = torch.exp(log_confidence - sideways * sideways - beyond * beyond)
        return maps, is_drawn[..., 0].to(maps.dtype)


class _FusedBlock(nn.Module):
    """A transformer block whose query, key and value are one product, the query scaled beforehand."""

    weight: Tensor
    bias: Tensor

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attention
        self.block, self.heads = block, attention.heads
        width = attention.out.in_features
        self.width, self.per_head = width, width // attention.heads
        scale = self.per_head**-0.5
        weights = [attention.query.weight * scale, attention.key.weight, attention.value.weight]
        biases = [attention.query.bias * scale, attention.key.bias, attention.value.bias]
        self.register_buffer("weight", torch.cat(weights).detach(), persistent=False)
        self.register_buffer("bias", torch.cat(biases).detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, D) attends to itself → (B, P, D)."""
        count = x.shape[1]
        rows = x.reshape(-1, self.width)
        qkv = F.linear(self.block.before_attention(rows), self.weight, self.bias)
        q, k, v = qkv.reshape(-1, count, 3, self.heads, self.per_head).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = torch.matmul(torch.matmul(q, k.transpose(2, 3)).softmax(dim=-1), v)  # (B, H, P, D / H)
        rows = rows + self.block.attention.out(mixed.transpose(1, 2).reshape(-1, self.width))
        return (rows + self.block.mlp(self.block.before_mlp(rows))).reshape(-1, count, self.width)

    def step(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, D), caches (B, H, W − 1, D / H), bias (B, H, 1, W) → x, both caches moved on by one tick."""
        qkv = F.linear(self.block.before_attention(x), self.weight, self.bias)
        q, k, v = qkv.reshape(-1, 3, self.heads, 1, self.per_head).unbind(1)
        keys, values = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        weights = (torch.matmul(q, keys.transpose(2, 3)) + bias).softmax(dim=-1)
        x = x + self.block.attention.out(torch.matmul(weights, values).reshape(-1, self.width))
        return x + self.block.mlp(self.block.before_mlp(x)), keys[:, :, 1:], values[:, :, 1:]


def _line(direction: Tensor, start: Tensor) -> Tensor:
    """Direction and start (B, C, 2) → coefficients (B, C, 3) of the distance along it: direction · (place − start)."""
    return torch.cat([direction, -(direction * start).sum(dim=-1, keepdim=True)], dim=-1)


def _patch_places(grid: int, patch: int) -> Tensor:
    """(3, grid²): x, y and 1 of every pixel, patch by patch, row by row within each."""
    y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    side = grid // patch
    places = torch.stack([x, y, torch.ones_like(x)]).float()  # (3, G, G)
    return places.reshape(3, side, patch, side, patch).transpose(2, 3).reshape(3, grid * grid)
