"""What systemd hears, over a socket like its own."""

import os
import socket

import pytest

from engine import systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_a_word_arrives_as_it_is(tmp_path, monkeypatch, abstract):
    name = f"lockstep-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        systemd.tell("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_without_systemd_and_where_nobody_listens_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.tell("READY=1")
