"""The few calls of the CUDA driver that a TensorRT runtime needs, through ctypes: nothing to install but the driver.

Every return code is checked. Importing this never needs a GPU; `first_gpu` says whether there is one.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineBuildError

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NON_BLOCKING = 1
_CAPTURE_THREAD_LOCAL = 1


@dataclass(frozen=True)
class Gpu:
    name: str
    capability: str
    """`89` for 8.9."""
    memory_bytes: int


class Cuda:
    """The driver and the first GPU's primary context, made current for the calling thread by `use`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", c_uint(0))
        device = c_int()
        self.call("cuDeviceGet", byref(device), c_int(0))
        name = ctypes.create_string_buffer(128)
        self.call("cuDeviceGetName", name, c_int(128), device)
        parts = [c_int(), c_int()]
        for part, attribute in zip(parts, (_CAPABILITY_MAJOR, _CAPABILITY_MINOR), strict=True):
            self.call("cuDeviceGetAttribute", byref(part), c_int(attribute), device)
        total = c_size_t()
        self.call("cuDeviceTotalMem_v2", byref(total), device)
        self.gpu = Gpu(name.value.decode(), f"{parts[0].value}{parts[1].value}", total.value)
        self._context = c_void_p()
        self.call("cuDevicePrimaryCtxRetain", byref(self._context), device)
        self.use()

    def use(self) -> None:
        self.call("cuCtxSetCurrent", self._context)

    def call(self, function: str, *arguments: Any) -> None:
        """Raises EngineBuildError with the driver's own name of what went wrong."""
        code = getattr(self._library, function)(*arguments)
        if code:
            text = c_char_p()
            self._library.cuGetErrorName(c_int(code), byref(text))
            raise EngineBuildError(
                "the GPU does not answer as it should",
                found=f"{function}: {(text.value or b'unknown error').decode()} ({code})",
                next_step="Check the driver with nvidia-smi; the station goes on with ONNX Runtime.",
            )

    def allocate(self, size: int) -> int:
        """Zeroed device memory; its address."""
        address = c_ulonglong()
        self.call("cuMemAlloc_v2", byref(address), c_size_t(max(size, 16)))
        self.call("cuMemsetD8_v2", address, ctypes.c_ubyte(0), c_size_t(max(size, 16)))
        return address.value

    def free(self, address: int) -> None:
        self.call("cuMemFree_v2", c_ulonglong(address))

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A float32 host array that the GPU copies from and to without a detour."""
        size = int(np.prod(shape)) * 4
        address = c_void_p()
        self.call("cuMemAllocHost_v2", byref(address), c_size_t(max(size, 16)))
        assert address.value is not None
        buffer = (ctypes.c_float * int(np.prod(shape))).from_address(address.value)
        return np.ctypeslib.as_array(buffer).reshape(shape)

    def stream(self) -> int:
        handle = c_void_p()
        self.call("cuStreamCreate", byref(handle), c_uint(_NON_BLOCKING))
        return handle.value or 0

    def synchronize(self, stream: int) -> None:
        self.call("cuStreamSynchronize", c_void_p(stream))

    def to_device(self, address: int, array: NDArray[Any], stream: int) -> None:
        self.call("cuMemcpyHtoDAsync_v2", c_ulonglong(address), c_void_p(array.ctypes.data), c_size_t(array.nbytes), c_void_p(stream))  # fmt: skip

    def to_host(self, array: NDArray[Any], address: int, stream: int) -> None:
        self.call("cuMemcpyDtoHAsync_v2", c_void_p(array.ctypes.data), c_ulonglong(address), c_size_t(array.nbytes), c_void_p(stream))  # fmt: skip

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self.call("cuMemcpyDtoDAsync_v2", c_ulonglong(target), c_ulonglong(source), c_size_t(size), c_void_p(stream))

    def capture_begin(self, stream: int) -> None:
        self.call("cuStreamBeginCapture_v2", c_void_p(stream), c_int(_CAPTURE_THREAD_LOCAL))

    def capture_end(self, stream: int) -> int:
        """The captured work as an executable graph."""
        graph, executable = c_void_p(), c_void_p()
        self.call("cuStreamEndCapture", c_void_p(stream), byref(graph))
        self.call("cuGraphInstantiateWithFlags", byref(executable), graph, c_ulonglong(0))
        self.call("cuGraphDestroy", graph)
        return executable.value or 0

    def launch(self, graph: int, stream: int) -> None:
        self.call("cuGraphLaunch", c_void_p(graph), c_void_p(stream))


@cache
def driver() -> Cuda | None:
    """The driver, or None where there is no driver or no GPU. Asked once."""
    try:
        return Cuda()
    except (OSError, AttributeError, EngineBuildError):
        return None


def first_gpu() -> Gpu | None:
    cuda = driver()
    return None if cuda is None else cuda.gpu


def gpu_present() -> bool:
    return driver() is not None
