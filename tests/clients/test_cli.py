"""The command line: help is complete and light, a user's mistake is one line and status 2."""

import subprocess
import sys

import pytest

from clients.cli import COMMANDS, build_app, main
from engine.errors import ConfigError


def lockstep(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "clients.cli", *arguments], capture_output=True, text=True, timeout=120
    )


def test_help_names_every_command_without_importing_anything_heavy():
    code = (
        "import sys; sys.argv=['lockstep','--help']\n"
        "from clients.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch','mediapipe','cv2','numba','onnxruntime','matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert all(f"  {name} " in result.stdout for name in COMMANDS)
    assert "..." not in result.stdout.split("Commands:")[1], "a line of help is too long for 80 columns"
    assert result.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = lockstep(name, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage: " in result.stdout and "--help" in result.stdout
    words = result.stdout.split("Arguments:")[0].split("Options:")[0].splitlines()
    assert not any("  " in line.strip() for line in words), "the indentation of the code is no part of the help"


def test_an_unknown_command_is_refused_with_status_2():
    result = lockstep("dance")
    assert result.returncode == 2
    assert "No such command" in result.stderr and "Traceback" not in result.stderr


def test_a_users_mistake_is_one_line_and_status_2(monkeypatch, capsys):
    def broken(_asked):
        def run(args):
            raise ConfigError("the setting is wrong", expected="a", found="b", next_step="Correct it.")

        return run

    monkeypatch.setattr("clients.cli.build_app", broken)
    with pytest.raises(SystemExit) as end:
        main(["run"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "lockstep: the setting is wrong: expected a, found b. Correct it.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source", "synth:cycles=1", "--reference", "no.ref", "--headless", "--json", "FILE/f.json"],
        ["run", "--source", "synth:cycles=1", "--reference", "no.ref", "--headless", "--report", "FILE/report"],
        ["demo", "--headless", "--json", "FILE/f.json"],
        ["bench", "--plot", "FILE/p.png"],
        ["bench", "--plot", "p.xlsx"],
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work_not_after(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("a file, not a folder")
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(("lockstep: cannot write FILE/", "lockstep: cannot draw into p.xlsx"))
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_the_table_of_commands_and_the_application_agree():
    assert {command.name for command in build_app(None).registered_commands} == set(COMMANDS)


@pytest.mark.parametrize(("publish", "status"), [("running", 0), ("starting", 1), ("down", 1)])
def test_stage_status_ends_with_1_while_a_stage_does_not_run(publish, status, monkeypatch, tmp_path):
    (tmp_path / "station.yaml").write_text("reference: bench.ref\n")
    about = {"pid": 1, "standby": None, "standby_ready": False, "restarts": 0, "retry_s": None}
    states = {"align": {"state": "running", **about}, "publish": {"state": publish, **about}}
    monkeypatch.setattr("engine.supervisor.stage_states", lambda _: states)
    with pytest.raises(SystemExit) as ended:
        main(["stage", "status", str(tmp_path / "station.yaml")])
    assert ended.value.code == status
