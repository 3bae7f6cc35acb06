"""What the align stage remembers survives as it was, and nothing else is taken for it."""

import msgspec
import numpy as np
import pytest

from engine import checkpoint
from engine.links.items import Mark

MARK = Mark("run", 7)
STATE = {"on": np.arange(6, dtype=np.float32).reshape(2, 3), "json": np.frombuffer(b"{}", np.uint8)}


def test_a_checkpoint_comes_back_as_it_was():
    mark, state = checkpoint.load(checkpoint.dump(MARK, STATE, "bench"), "bench")
    assert mark == MARK and state.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(state[name], array)
        assert state[name].dtype == array.dtype


@pytest.mark.parametrize("change", [{"format": checkpoint.FORMAT - 1}, {"made_for": "another reference"}])
def test_a_state_of_an_earlier_version_or_for_another_reference_is_not_gone_on_from(change: dict[str, object]):
    document = msgspec.msgpack.decode(checkpoint.dump(MARK, STATE, "bench"))
    assert checkpoint.load(msgspec.msgpack.encode(document), "bench") is not None
    assert checkpoint.load(msgspec.msgpack.encode(document | change), "bench") is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xc1", checkpoint.dump(MARK, STATE, "bench")[:-5]])
def test_what_is_no_checkpoint_is_none(data: bytes):
    assert checkpoint.load(data, "bench") is None
