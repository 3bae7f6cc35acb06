"""Every error a user can meet, by what they can do about it. The command line prints one and exits 2.

LockstepError
├── ConfigError       a setting or option is wrong: edit it
├── SourceError       a camera, video or folder cannot be read: check it
├── PoseError         the pose estimator is missing or cannot run: install or configure it
├── DataError         recorded poses, labels or a data set break their format: fix the file
├── BundleError       a bundle is missing, truncated or of another kind: export or fetch it again
├── EngineBuildError  a TensorRT engine cannot be built, loaded or trusted: rebuild, or use ONNX Runtime
├── ParityError       two models that should agree do not: do not use the second
├── BadReference      a reference does not fit: build it again
├── BusError          an address or a peer on the bus: change the address, the keys or the peer
└── StoreError        the event store cannot be opened or written: free or change it
"""

from __future__ import annotations


class LockstepError(Exception):
    """What went wrong, what was expected, what was found, and what to do next."""

    def __init__(self, problem: str, *, expected: str = "", found: str = "", next_step: str = "") -> None:
        self.problem, self.expected, self.found, self.next_step = problem, expected, found, next_step
        parts = [problem]
        if expected:
            parts.append(f"expected {expected}")
        if found:
            parts.append(f"found {found}")
        text = ": ".join([parts[0], ", ".join(parts[1:])]) if len(parts) > 1 else parts[0]
        super().__init__(f"{text}. {next_step}" if next_step else text)


class ConfigError(LockstepError):
    """A setting or a command-line option is wrong."""


class SourceError(LockstepError):
    """A camera, video, stream or folder of images cannot be read."""


class PoseError(LockstepError):
    """The pose estimator is missing or cannot run."""


class DataError(LockstepError):
    """Recorded poses, labels or a data set break the rules of their format."""


class BundleError(LockstepError):
    """A bundle is missing, truncated, or not of the kind that is needed."""


class EngineBuildError(LockstepError):
    """A TensorRT engine cannot be built, loaded, or trusted."""


class ParityError(LockstepError):
    """Two forms of a model that should compute the same thing do not."""


class BadReference(LockstepError):
    """A reference does not fit the bundle, the phases or the recording."""


class BusError(LockstepError):
    """An address, a key or a peer on the bus is refused."""


class StoreError(LockstepError):
    """The event store cannot be opened, read or written."""
