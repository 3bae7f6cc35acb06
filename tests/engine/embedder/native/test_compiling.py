"""The machine code on disk: made by another process while ONNX Runtime serves, made again when damaged, done without when it cannot be kept."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.embedder import embed_sequence, open_embedder, opening
from engine.embedder.embedder import StationEmbedder
from engine.embedder.native import compiling
from engine.embedder.onnxruntime import OnnxRuntime
from engine.errors import EngineBuildError


def run(program: str, **environment: str) -> str:
    """Output of a fresh process; it must not fail."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=200, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


STATION = """
    import logging, threading
    logging.basicConfig(level=logging.INFO)
    import numpy as np
    from pathlib import Path
    from engine.bundle import Bundle
    from engine.embedder import open_embedder
    embedder = open_embedder(Bundle(Path({bundle!r})))
    print("first:", embedder.runtime.name)
    walk = np.load({walk!r})
    got = [embedder.step(pose) for pose in walk[:30]]
    for thread in threading.enumerate():
        if thread.name == "lockstep-make-runtime":
            thread.join()
    print("then:", embedder.runtime.name)
    got += [embedder.step(pose) for pose in walk[30:]]
    np.save({got!r}, got)
"""


@pytest.mark.slow
def test_a_first_start_serves_at_once_a_second_is_native_and_damaged_code_is_made_again(
    tiny_bundle, walk, tmp_path
) -> None:
    np.save(tmp_path / "walk.npy", walk)
    got = tmp_path / "got.npy"
    program = STATION.format(bundle=str(tiny_bundle.folder), walk=str(tmp_path / "walk.npy"), got=str(got))
    folders = {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "LOCKSTEP_CACHE": str(tmp_path / "cache")}
    expected = embed_sequence(StationEmbedder(OnnxRuntime(tiny_bundle)), walk)

    said = run(program, **folders)
    assert "first: onnxruntime" in said and "then: native" in said and "has not been compiled" in said
    np.testing.assert_allclose(np.load(got), expected, atol=1e-5)

    assert "first: native" in run(program, **folders)
    np.testing.assert_allclose(np.load(got), expected, atol=1e-5)

    for code in (tmp_path / "numba").rglob("step.*.nbc"):
        code.write_bytes(code.read_bytes()[: code.stat().st_size // 2])
    said = run(program, **folders)
    assert "could not" in said and "first: onnxruntime" in said and "then: native" in said
    np.testing.assert_allclose(np.load(got), expected, atol=1e-5)


def test_where_code_cannot_be_kept_onnxruntime_serves_and_the_matcher_runs_all_the_same(tiny_bundle) -> None:
    said = run(
        f"""
        import logging
        logging.basicConfig()
        import numpy as np
        from pathlib import Path
        from engine.bundle import Bundle
        from engine.embedder import open_embedder
        from engine.matching.dtw import align
        embedder = open_embedder(Bundle(Path({str(tiny_bundle.folder)!r})))
        print(embedder.runtime.name, np.linalg.norm(embedder.step(np.ones((13, 3), np.float32))).round(3))
        print("path of", len(align(np.eye(4), np.eye(4))))
        """,
        NUMBA_CACHE_LOCATOR_CLASSES="ZipCacheLocator",  # none that fits: as for a service without a home
    )
    assert "onnxruntime" in said and "1.0" in said and "path of 4" in said
    assert "no place to keep the compiled step" in said and "NUMBA_CACHE_DIR" in said


def test_a_step_that_cannot_be_compiled_leaves_the_station_on_onnxruntime(
    tiny_bundle, walk, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    monkeypatch.setattr(compiling, "is_compiled", lambda: False)
    monkeypatch.setattr(sys, "executable", str(Path("/bin/false")))
    started = []
    monkeypatch.setattr(opening.threading.Thread, "start", lambda thread: started.append(thread))
    embedder = open_embedder(tiny_bundle)
    started[0].run()
    assert embedder.runtime.name.startswith("onnxruntime") and np.isfinite(embedder.step(walk[0])).all()
    assert "could not be compiled for this processor" in caplog.text and "exit status 1" in caplog.text


@pytest.mark.slow
def test_a_full_disk_while_compiling_is_an_error_with_a_next_step(tiny_bundle, tmp_path) -> None:
    """A limit on the size of files stands in for the disk: the code of the step has some 500 kB."""
    said = run(
        f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from pathlib import Path
        from engine.bundle import Bundle
        from engine.embedder.native.runtime import NativeRuntime
        from engine.errors import EngineBuildError
        bundle = Bundle(Path({str(tiny_bundle.folder)!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            NativeRuntime(bundle)
        except EngineBuildError as error:
            print(error.found, "|", error.next_step)
        """,
        NUMBA_CACHE_DIR=str(tmp_path / "numba"),
    )
    assert "File too large" in said and "onnxruntime" in said
    assert not list(tmp_path.rglob("compiled-*")), "marked as compiled without being so"


def test_the_command_that_compiles_says_in_one_line_what_is_wrong(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(compiling, "is_compiled", lambda: False)
    with pytest.raises(EngineBuildError, match="no bundle at") as caught:
        compiling.compile_apart(SimpleNamespace(folder=tmp_path / "nowhere"))
    assert caught.value.next_step


def test_stations_that_start_together_compile_once(tiny_bundle, tmp_path, monkeypatch) -> None:
    """The first is compiling, as the lock says; the second waits, and then finds the code ready instead of compiling."""
    import fcntl

    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/false")  # compiling again would fail
    ready = threading.Event()
    monkeypatch.setattr(compiling, "is_compiled", ready.is_set)
    with (tmp_path / "compiling.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        failures: list[EngineBuildError] = []

        def second() -> None:
            try:
                compiling.compile_apart(tiny_bundle)
            except EngineBuildError as error:
                failures.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        ready.set()
    thread.join(60)
    assert not thread.is_alive() and not failures
