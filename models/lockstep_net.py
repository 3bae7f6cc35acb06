"""The whole model, in the order data meets it.

    keypoints (B, T, K, 3)  crop coordinates
      │ heatmaps            joints + limbs, and optionally their change over the last few ticks
      │ frame encoder       9 patches → spatial transformer → one token per tick
      │ temporal encoder    causal (last W ticks, relative positions) or full (LA2DS: bidirectional, absolute positions)
      │ cross-attention     to itself; in training to another stream of the same recording
      ▼ features U (B, T, D)
      │ projection          one hidden layer
      │ centring            measured from the mean of all embeddings
      ▼ embeddings (B, T, E), unit length

`forward` takes whole recordings; `step` takes one tick and what it needs of the past, and gives the same numbers.
Every component can be switched off in `NetConfig` (Tables 1 and 2 of the LA2DS paper).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import skeleton
from models.attention import MASKED, Block, DistanceBias
from models.centring import Centring
from models.encoder import FrameEncoder, TemporalEncoder, hide
from models.heatmaps import Heatmaps

State = dict[str, Tensor]


@dataclass(frozen=True)
class NetConfig:
    """Everything that determines the model's shape. Raises ValueError where parts contradict each other."""

    layout: str = "body13"
    rate_hz: float = 20.0
    """Ticks per second it is trained at."""
    heatmaps: str = "joints+limbs"
    grid: int = 30
    patch: int = 10
    sigma: float = 1.0
    """Of the heatmaps, in grid pixels."""
    motion: tuple[int, ...] = (2,)
    """Extra channels: heatmaps minus those so many ticks ago. Empty: none."""
    width: int = 96
    heads: int = 4
    mlp_ratio: float = 4.0
    spatial_depth: int = 2
    """0: patches are embedded and averaged, without a spatial transformer."""
    spatial_positions: bool = True
    """False: the encoder is not told where in the frame a patch lies."""
    temporal_depth: int = 2
    """0: every tick on its own, without a temporal transformer."""
    temporal: str = "causal"
    """'causal' or 'full'."""
    positions: str = "relative"
    """'relative', 'absolute' (full only) or 'none'."""
    window: int = 32
    """Ticks a causal model sees; of a full model, the length of its table of positions and of its live window."""
    cross_attention_depth: int = 0
    projection: bool = True
    """False: the embedding is the features U, normalised (LA2DS drops the projection after training)."""
    embedding_dim: int = 128
    """Width of the projection."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "motion", tuple(self.motion))
        if self.layout not in skeleton.LAYOUTS:
            raise ValueError(f"expected layout {', '.join(skeleton.LAYOUTS)}, found {self.layout!r}")
        for name in ("rate_hz", "grid", "patch", "sigma", "width", "heads", "mlp_ratio", "window", "embedding_dim"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"expected {name} above 0, found {getattr(self, name)}")
        for name in ("spatial_depth", "temporal_depth", "cross_attention_depth"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} of at least 0, found {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected dropout from 0 to below 1, found {self.dropout}")
        if self.temporal not in ("causal", "full"):
            raise ValueError(f"expected temporal 'causal' or 'full', found {self.temporal!r}")
        if self.positions not in ("relative", "absolute", "none"):
            raise ValueError(f"expected positions 'relative', 'absolute' or 'none', found {self.positions!r}")
        if self.temporal == "causal" and self.positions == "absolute":
            raise ValueError("a causal model has no absolute positions: a stream has no known start")
        if any(delay < 1 for delay in self.motion):
            raise ValueError(f"expected motion delays of at least one tick, found {self.motion}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def output_dim(self) -> int:
        return self.embedding_dim if self.projection else self.width


class LockstepNet(nn.Module):
    """See the module's drawing. `config` is kept as `self.config`."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        layout = skeleton.layout(config.layout)
        width, heads, ratio, dropout = config.width, config.heads, config.mlp_ratio, config.dropout
        causal = config.temporal == "causal"
        self.joints = layout.size
        self.memory = max(config.motion, default=0)
        self.heatmaps = Heatmaps(layout.size, layout.limbs, config.heatmaps, config.grid, config.sigma)
        channels = self.heatmaps.channels * (1 + len(config.motion))
        self.frames = FrameEncoder(
            channels,
            config.grid,
            config.patch,
            width,
            config.spatial_depth,
            heads,
            ratio,
            dropout,
            config.spatial_positions,
        )
        self.temporal = TemporalEncoder(
            width, config.temporal_depth, heads, config.window, causal, config.positions, ratio, dropout
        )
        self.cross_mlp = nn.Linear(width, width) if config.cross_attention_depth else None
        self.cross = nn.ModuleList(Block(width, heads, ratio, dropout) for _ in range(config.cross_attention_depth))
        self.cross_bias = DistanceBias(heads, config.window, causal, learned=False)
        self.project = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.embedding_dim))
        self.centring = Centring(config.output_dim)

    def forward(self, keypoints: Tensor, mask: Tensor | None = None) -> Tensor:
        """keypoints (B, T, K, 3) crop coordinates, mask (B, T) True where there is a tick → (B, T, E) unit length."""
        if mask is None:
            mask = torch.ones(keypoints.shape[:2], dtype=torch.bool, device=keypoints.device)
        return self.embed(self.features(keypoints, mask))

    def features(self, keypoints: Tensor, mask: Tensor) -> Tensor:
        """Features U (B, T, D). Outside of training a recording has no other one to attend to, so it attends to itself."""
        x = self.temporal(self.tokens(keypoints), mask)
        if not self.cross:
            return x
        return self.attend_across(x, x, self.cross_bias(x.shape[1], x.device)[None] + hide(mask))

    def embed(self, features: Tensor) -> Tensor:
        """Features (…, D) → unit-length embeddings (…, E)."""
        return F.normalize(self.centring(self.projected(features)), dim=-1)

    def projected(self, features: Tensor) -> Tensor:
        """Features (…, D) → what is centred to become embeddings (…, E), float32."""
        return (self.project(features) if self.config.projection else features).float()

    def without_projection(self) -> LockstepNet:
        """The network whose embedding is its features U: LA2DS drops the projection once the loss has been served."""
        net = LockstepNet(replace(self.config, projection=False))
        net.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("centring.")}, strict=False)
        return net.train(self.training)

    def tokens(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, 3) → (B, T, D), each tick from its own keypoints and those `memory` ticks ago or less."""
        past = keypoints.new_zeros(keypoints.shape[0], self.memory, *keypoints.shape[2:])
        padded = torch.cat([past, keypoints], dim=1)
        x = self.frames(self._draw(padded, keypoints.shape[1]).flatten(0, 1))
        return x.unflatten(0, keypoints.shape[:2])

    def attend_across(self, x: Tensor, context: Tensor, bias: Tensor) -> Tensor:
        """Features x (B, T, D) attend to features of another recording (B, S, D)."""
        assert self.cross_mlp is not None
        x, context = F.gelu(self.cross_mlp(x)) + x, F.gelu(self.cross_mlp(context)) + context
        for block in self.cross:
            x = block(x, bias, context)
        return x

    def initial_state(self, batch: int) -> State:
        """All zeros: nothing seen yet. Shapes have the batch first."""
        config, weight = self.config, self.frames.embed.weight
        past = config.window - 1
        state = {"valid": weight.new_zeros(batch, past)}
        if self.memory:
            state["past"] = weight.new_zeros(batch, self.memory, self.joints, 3)
        if config.temporal == "full":
            state["tokens"] = weight.new_zeros(batch, past, config.width)
            return state
        if config.temporal_depth:
            shape = (batch, config.temporal_depth, past, config.width)
            state |= {"keys": weight.new_zeros(shape), "values": weight.new_zeros(shape)}
        if self.cross:
            state["context"] = weight.new_zeros(batch, past, config.width)
        return state

    def step(self, keypoints: Tensor, state: State) -> tuple[Tensor, State]:
        """One tick: keypoints (B, K, 3), state → embedding (B, E), next state. Equal to `forward`, tick by tick.

        A full model runs its temporal encoder again over the last W tokens (its newest output is the embedding).
        """
        seen = keypoints[:, None]
        following: State = {}
        if self.memory:
            seen = torch.cat([state["past"], seen], dim=1)
            following["past"] = seen[:, 1:]
        token = self.frames(self._draw(seen, 1)[:, 0])  # (B, D)
        valid = torch.cat([state["valid"], torch.ones_like(state["valid"][:, :1])], dim=1)
        following["valid"] = valid[:, 1:]
        if self.config.temporal == "full":
            tokens = torch.cat([state["tokens"], token[:, None]], dim=1)
            following["tokens"] = tokens[:, 1:]
            x = self._window(tokens, valid)
        else:
            x = token
            if self.config.temporal_depth:
                x, following["keys"], following["values"] = self.temporal.step(
                    token, state["keys"], state["values"], valid
                )
            else:
                x = self.temporal.norm(x)
            if self.cross:
                context = torch.cat([state["context"], x[:, None]], dim=1)
                following["context"] = context[:, 1:]
                x = self.attend_across(x[:, None], context, (1.0 - valid)[:, None, None, :] * MASKED)[:, 0]
        return self.embed(x), following

    def _window(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """Temporal encoder and cross-attention over a window whose newest tick is last; its features (B, D)."""
        mask = valid > 0.5
        x = self.temporal(tokens, mask)
        if self.cross:
            x = self.attend_across(x, x, hide(mask))
        return x[:, -1]

    def _draw(self, keypoints: Tensor, ticks: int) -> Tensor:
        """Keypoints of memory + T ticks (B, memory + T, K, 3) → channels (B, T, C · (1 + delays), G, G) of the last T.

        A channel moves only if it is drawn in both ticks: what appears or vanishes has not moved.
        """
        drawn, certain = self.heatmaps(keypoints), self.heatmaps.confidence(keypoints) > 0
        channels = [drawn[:, self.memory :]]
        for delay in self.config.motion:
            before = slice(self.memory - delay, self.memory - delay + ticks)
            both = (certain[:, self.memory :] & certain[:, before])[..., None, None]
            channels.append((channels[0] - drawn[:, before]) * both)
        return torch.cat(channels, dim=2) if len(channels) > 1 else channels[0]
