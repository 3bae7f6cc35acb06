"""PyTorch: the network itself, from the bundle's weights. Caches stay on its device. Needs torch; nothing else here does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays
from engine.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

    from models.live_step import State
    from models.lockstep_net import LockstepNet


class TorchRuntime:
    """The incremental step in eager PyTorch. `device` None: a CUDA device if there is one.

    On a CPU it confines PyTorch to one thread, for the whole process: a step is smaller than the cost of sharing it.
    """

    def __init__(self, bundle: Bundle, device: str | None = None) -> None:
        import torch

        from models.live_step import LiveStep

        self.bundle = bundle
        self.precision = "fp32"
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.live = LiveStep(load_net(bundle)).to(self.device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        self.name = f"torch {torch.__version__} ({place})"
        self.step = self.live.step

    def compile(self) -> None:
        """From now on the step is torch.compile's, on a GPU with CUDA graphs; compiled at the first tick of each batch.

        To compare with: a minute of compiling for a step that other runtimes do faster.
        """
        import torch

        if self.device.type == "cpu":
            self.step = torch.compile(self.live.step, dynamic=False)
            return
        graphed = torch.compile(self.live.step, dynamic=False, mode="reduce-overhead")

        def step(keypoints: Tensor, state: State) -> tuple[Tensor, State]:
            torch.compiler.cudagraph_mark_step_begin()
            embedding, following = graphed(keypoints, state)
            return embedding.clone(), {
                name: tensor.clone() for name, tensor in following.items()
            }  # a graph reuses its own

        self.step = step

    def lanes(self, batch: int = 1) -> TorchLanes:
        return TorchLanes(self, batch)


class TorchLanes:
    def __init__(self, runtime: TorchRuntime, batch: int) -> None:
        self.batch = batch
        self._step, self._device = runtime.step, runtime.device
        self._width = runtime.bundle.info.embedding_dim
        self._state = runtime.live.initial_state(batch)

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(np.ascontiguousarray(keypoints, np.float32)).to(self._device)
            if active is None or active.all():
                embedding, self._state = self._step(inputs, self._state)
                return embedding.cpu().numpy()
            out = np.zeros((self.batch, self._width), np.float32)
            if active.any():
                lanes = torch.from_numpy(np.flatnonzero(active)).to(self._device)
                some = {name: tensor[lanes] for name, tensor in self._state.items()}
                embedding, following = self._step(inputs[lanes], some)
                out[active] = embedding.cpu().numpy()
                self._state = {name: t.index_copy(0, lanes, following[name]) for name, t in self._state.items()}
            return out

    def reset(self, lane: int) -> None:
        self.restore(lane, {name: np.zeros(tensor.shape[1:]) for name, tensor in self._state.items()})

    def state(self, lane: int) -> Arrays:
        return {name: tensor[lane].cpu().numpy().copy() for name, tensor in self._state.items()}

    def restore(self, lane: int, state: Arrays) -> None:
        import torch

        with torch.inference_mode():
            for name, tensor in self._state.items():
                changed = tensor.clone()
                changed[lane] = torch.from_numpy(np.asarray(state[name], np.float32)).to(self._device)
                self._state[name] = changed


def load_net(bundle: Bundle) -> LockstepNet:
    """The network of a bundle, in evaluation mode. Raises BundleError if the bundle carries no weights for PyTorch."""
    from safetensors.torch import load_file

    from models.lockstep_net import LockstepNet, NetConfig

    if bundle.info.weights_file is None or not bundle.info.network:
        raise BundleError(
            f"bundle {bundle.info.name} carries no weights for PyTorch",
            expected="weights_file and network in bundle.json",
            next_step="Use the onnxruntime runtime, or export the bundle again.",
        )
    try:
        net = LockstepNet(NetConfig(**bundle.info.network))
        net.load_state_dict(load_file(bundle.folder / bundle.info.weights_file))
    except (TypeError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"the network of bundle {bundle.info.name} is not one that this version knows",
            found=str(error).splitlines()[0],
            next_step="Upgrade lockstep, or export the bundle again.",
        ) from error
    return net.eval()
