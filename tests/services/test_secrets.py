"""Secrets are made once and stay private."""

import re
import stat
from pathlib import Path

import pytest

from tests.services.machines import Machine


def test_secret_is_long_random_and_url_safe(machine: Machine) -> None:
    first, second = machine.python(
        "print(services.local_secret('SECRET_KEY'), services.local_secret('JWT_SIGNING_KEY'))"
    ).split()
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", first)
    assert first != second


def test_secret_is_the_same_the_next_time(machine: Machine) -> None:
    assert machine.python("print(services.local_secret('A'))") == machine.python("print(services.local_secret('A'))")


def test_secret_is_readable_by_its_owner_only(machine: Machine) -> None:
    machine.python("services.local_secret('A')")
    assert stat.S_IMODE((machine.instance.secrets / "A").stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.instance.secrets.stat().st_mode) == 0o700


def test_concurrent_processes_that_ask_for_a_secret_get_the_same_one(machine: Machine) -> None:
    clients = [machine.start("input(); print(services.local_secret('A'))") for _ in range(8)]
    answers = {client.communicate("\n")[0] for client in clients}
    assert len(answers) == 1
    assert answers != {""}
    assert [path.name for path in machine.instance.secrets.iterdir()] == ["A"]


def test_name_that_leaves_the_folder_is_refused(machine: Machine) -> None:
    out = machine.python("try: services.local_secret('../A')\nexcept ValueError as error: print(error)")
    assert out == "'../A' is not a file name"


@pytest.mark.parametrize("content", ["", "\n", "x" * 63, "x" * 64 + "\n", "\x00" * 64, "ü" * 64])
def test_secret_that_a_crash_left_damaged_is_refused_and_kept(machine: Machine, content: str) -> None:
    machine.python("services.local_secret('SECRET_KEY')")
    file = machine.instance.secrets / "SECRET_KEY"
    file.write_bytes(content.encode())

    sentence = machine.refusal("services.local_secret('SECRET_KEY')")

    assert sentence == (
        f"The secret in {file} is damaged: put its copy back or set SECRET_KEY, or delete the file and a new one is made "
        "(what was signed with the old one is not trusted then)."
    )
    assert file.read_bytes() == content.encode()


def test_secret_that_is_no_text_is_refused_alike(machine: Machine) -> None:
    machine.python("services.local_secret('SECRET_KEY')")
    file = machine.instance.secrets / "SECRET_KEY"
    file.write_bytes(b"\xff" * 64)

    assert f"The secret in {file} is damaged" in machine.refusal("services.local_secret('SECRET_KEY')")


def test_secret_that_was_deleted_is_made_anew(machine: Machine) -> None:
    first = machine.python("print(services.local_secret('A'))")
    (machine.instance.secrets / "A").unlink()

    assert machine.python("print(services.local_secret('A'))") != first


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_secret_is_on_the_disk_before_it_has_its_name(machine: Machine) -> None:
    """Otherwise a power cut leaves an empty file under the name, whose secret was used already."""
    order = machine.python(
        "import os, pathlib\n"
        "calls = []\n"
        "sync, link = os.fsync, pathlib.Path.hardlink_to\n"
        "os.fsync = lambda file: (calls.append(os.readlink(f'/proc/self/fd/{file}')), sync(file))\n"
        "pathlib.Path.hardlink_to = lambda self, other: (calls.append('linked'), link(self, other))\n"
        "services.local_secret('A')\n"
        "print(*calls)"
    ).split()

    written, linked, folder = order
    assert written.startswith(f"{machine.instance.secrets}/.A.")
    assert (linked, folder) == ("linked", str(machine.instance.secrets))
