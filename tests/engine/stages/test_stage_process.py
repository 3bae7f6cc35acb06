"""A stage that is stopped while it prepares ends at once and in silence."""

import subprocess
import sys

PREPARES_BY_IMPORTING = """
import os, signal, sys
import engine.stage_process as process

def prepare(stage, config):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
    except BaseException as error:  # as extension modules do with whatever comes up while they are initialised
        raise ImportError("initialization failed") from error

process.prepare = prepare
reading, writing = os.pipe()
sys.exit(process.main("align", sys.argv[1], writing))
"""


def test_a_stage_stopped_in_the_midst_of_an_import_says_nothing(tmp_path):
    station = tmp_path / "station.yaml"
    station.write_text("reference: bench.ref\n")
    ended = subprocess.run([sys.executable, "-c", PREPARES_BY_IMPORTING, station], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (143, "")
