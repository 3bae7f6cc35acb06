"""The store keeps what happened, all or nothing, on SQLite and on a real PostgreSQL server."""

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from shift import Shift

from engine import tables, wire
from engine.errors import StoreError
from engine.journal import Journal
from engine.messages import Event
from engine.store import Store


def draft(i, kind="paused", **details):
    return Event("bench", 0, kind, float(i), time.time(), 1, "pick", 0.9, float(i), details)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """URL of a real server, started for these tests under an account that may (the server refuses root)."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql (Debian: apt install postgresql)")
    if os.geteuid() == 0 and not (
        shutil.which("runuser") and subprocess.run(["id", "postgres"], capture_output=True).returncode == 0
    ):
        pytest.skip("PostgreSQL refuses root, and there is no account 'postgres' to run it under")
    bin_folder, folder = programs[-1].parent, Path("/tmp") / f"lockstep-pg-{os.getpid()}"
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command):
        subprocess.run([*as_user, *map(str, command)], check=True, capture_output=True, cwd="/tmp")

    try:
        run(bin_folder / "initdb", "-D", folder, "-U", "lockstep", "--auth=trust", "-N")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(bin_folder / "pg_ctl", "-D", folder, "-o", options, "-l", folder / "log", "-w", "start")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"PostgreSQL does not start here: {error.stderr.decode()[-200:]}")
    try:
        yield f"postgresql://lockstep:pass-word@127.0.0.1:{port}/postgres"
    finally:
        run(bin_folder / "pg_ctl", "-D", folder, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_database(postgres):
    """Its URL."""
    engine = sa.create_engine(postgres.replace("postgresql", "postgresql+psycopg"))
    tables.METADATA.drop_all(engine)
    engine.dispose()
    return postgres


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_database")
    else:
        url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/s.db"
    with Store(url) as store:
        yield store


def test_events_come_back_as_they_were_published(store):
    journal = Journal("bench", store)
    events = [journal.number(draft(i, "phase_finished", duration_s=1.5)) for i in range(5)]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert [wire.unpack_event(m) for m in store.messages("bench", 2, 3)] == events[1:4]
    assert store.bounds("bench") == (1, 5) and store.bounds("other") == (1, 0)


def test_numbering_goes_on_after_a_restart_and_stations_count_apart(store):
    Journal("bench", store).commit([draft(i) for i in range(3)])
    assert Journal("bench", store).number(draft(9)).seq == 4
    assert Journal("other", store).number(draft(9)).seq == 1


def test_cycles_and_phase_durations_are_kept_in_columns(store):
    shift = Shift().do(*"abc").stay(0.0, 2.0, "idle").do("a").stay(2.0, 2.0, "idle")
    Journal("bench", store).commit(shift.told)
    phases = store.read(sa.select(tables.PHASES).order_by(tables.PHASES.c.seq))
    assert [phase.phase for phase in phases] == [*"abca"]
    assert [phase.duration_s for phase in phases] == pytest.approx([2.0] * 4, abs=0.15)
    done, dropped = store.read(sa.select(tables.CYCLES).order_by(tables.CYCLES.c.seq))
    assert done.finished and done.duration_s == pytest.approx(6.0, abs=0.2) and done.coverage > 0.95
    assert not dropped.finished and dropped.duration_s is None and dropped.coverage == pytest.approx(1 / 3, abs=0.05)


def test_events_and_the_checkpoint_after_them_are_stored_together_or_not_at_all(store):
    journal = Journal("bench", store)
    journal.commit([draft(0)], b"after 1")
    with pytest.raises(StoreError, match="another process writes"):
        store.append("bench", [msgspec.structs.replace(draft(7), seq=1)], b"of an impostor")
    assert store.checkpoint("bench") == b"after 1" and store.bounds("bench") == (1, 1)
    assert store.checkpoint("other") is None


def test_storing_again_what_was_stored_before_the_connection_broke_is_no_error(store):
    event = Journal("bench", store).number(draft(0))
    store.append("bench", [event])
    assert store.bounds("bench") == (1, 1)


def test_what_was_told_last_of_a_stream_is_known_after_a_restart(store):
    journal = Journal("bench", store)
    assert not journal.stream_lost()
    for kind, lost in (("stream_lost", True), ("paused", True), ("stream_back", False), ("stream_lost", True)):
        journal.number(draft(1, kind))
        assert Journal("bench", store).stream_lost() is lost
    assert not Journal("another", store).stream_lost()


def test_retention_forgets_the_old_and_keeps_the_numbering(store):
    journal = Journal("bench", store)
    for i, age_s in enumerate((900, 800, 5, 700, 1)):
        journal.number(msgspec.structs.replace(draft(i), wall_s=time.time() - age_s))
    assert store.forget(older_than_s=600) == 4  # with the fourth all before it: no hole in the middle
    assert store.bounds("bench") == (5, 5)
    assert store.forget(older_than_s=0.0) == 0  # the newest always stays
    assert Journal("bench", store).number(draft(9)).seq == 6


def test_while_the_disk_is_full_events_wait_in_order_with_their_newest_checkpoint(store, monkeypatch):
    journal = Journal("bench", store)

    def full(*_):
        raise StoreError("cannot write", found="disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", full)
        assert [journal.number(draft(i)).seq for i in range(3)] == [1, 2, 3]
        journal.commit([draft(3)], b"after 4")
        assert journal.stored_seq == 0 and "disk full" in journal.trouble
    assert journal.flush() and journal.stored_seq == 4 and journal.trouble == ""
    assert store.checkpoint("bench") == b"after 4" and store.bounds("bench") == (1, 4)


def test_a_store_of_a_newer_version_is_refused_with_the_next_step(tmp_path):
    Store(f"sqlite:///{tmp_path}/s.db").close()
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'version'")
    with pytest.raises(StoreError, match=r"newer Lockstep.*version 999.*Update"):
        Store(f"sqlite:///{tmp_path}/s.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////no/such/folder/s.db",
        "postgresql://me:hunter2@127.0.0.1:1/x",
        "nonsense",
        "mysql://a:hunter2@h/d",
        "redis://:hunter2@h",
    ],
)
def test_a_store_that_cannot_be_opened_is_one_clear_line_without_credentials(url):
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert "hunter2" not in str(caught.value) and "store.url" in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "s.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{tmp_path}/s.db")


def test_a_store_of_version_1_is_lifted_with_all_that_it_holds(tmp_path):
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.executescript((Path(__file__).parents[1] / "data" / "store-v1.sql").read_text())
    for _ in range(2):  # and a second time nothing happens
        with Store(f"sqlite:///{tmp_path}/s.db") as store:
            assert store.identity == "c0ffee"
            assert store.read(sa.select(tables.CYCLES.c.duration_s))[0].duration_s == 12.5
            (phase,) = store.read(sa.select(tables.PHASES))  # its event, as it was then, says `dwell_s`
            assert (phase.seq, phase.phase, phase.duration_s) == (6, "pick", 2.5)
            assert store.read(sa.select(tables.HEALTH)) == []


def test_a_store_whose_creation_was_cut_off_is_created_by_whoever_opens_it_next(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/s.db"
    create_all = tables.METADATA.create_all

    def cut_off(connection):
        create_all(connection)
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(tables.METADATA, "create_all", cut_off)
        with pytest.raises(StoreError, match="disk full"):
            Store(url)
    with closing(sqlite3.connect(tmp_path / "s.db")) as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == []  # all or nothing
    with Store(url) as store:
        assert store.bounds("bench") == (1, 0)


def test_a_database_of_something_else_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as file, file:
        file.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        file.execute("INSERT INTO meta VALUES ('made_by', 'somebody else')")
    with pytest.raises(StoreError, match="not a store of Lockstep"):
        Store(f"sqlite:///{tmp_path}/other.db")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_several_that_open_a_new_store_at_once_one_makes_it(kind, request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if kind == "sqlite" else request.getfixturevalue("empty_database")

    def identity(_):
        with Store(url) as store:
            return store.identity

    with ThreadPoolExecutor(8) as several:
        assert len(set(several.map(identity, range(8)))) == 1


@contextmanager
def only_reading(folder):
    """Nothing can be written in `folder` meanwhile. Root could: it is somebody else for that time."""
    user = os.geteuid()
    folder.chmod(0o555)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.fixture
def folder():
    """Not pytest's own, which nobody else may enter; of a name that means something in an address."""
    path = Path(tempfile.mkdtemp(prefix="50% of it #"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("station_runs", [True, False])
def test_a_store_that_can_only_be_read_is_read_whether_its_station_runs_or_not(folder, station_runs):
    url = f"sqlite:///{folder}/s.db"
    with Store(url) as store:
        Journal("bench", store).commit([draft(i) for i in range(3)])
        if not station_runs:
            store.close()
        with only_reading(folder), Store(url, create=False) as reading:
            assert len(reading.messages("bench", 1, 10)) == 3
        if station_runs:
            assert Journal("bench", store).number(draft(3)).seq == 4
    assert [path.name for path in folder.iterdir()] == ["s.db"]  # and nothing of the reader's is left


def test_an_older_store_that_can_only_be_read_says_that_it_would_have_to_be_written(folder):
    with closing(sqlite3.connect(folder / "s.db")) as connection:
        connection.executescript((Path(__file__).parents[1] / "data" / "store-v1.sql").read_text())
    with only_reading(folder), pytest.raises(StoreError, match=r"readonly database.*rights of its folder"):
        Store(f"sqlite:///{folder}/s.db", create=False)
