"""Secrets are made once and stay private."""

import re
import stat


def test_secret_is_long_random_and_url_safe(machine):
    first, second = machine.python("print(local.secret('SECRET_KEY'), local.secret('JWT_SIGNING_KEY'))").split()
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", first)
    assert first != second


def test_secret_is_the_same_the_next_time(machine):
    assert machine.python("print(local.secret('A'))") == machine.python("print(local.secret('A'))")


def test_secret_is_readable_by_its_owner_only(machine):
    machine.python("local.secret('A')")
    assert stat.S_IMODE((machine.place.secrets / "A").stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.place.secrets.stat().st_mode) == 0o700


def test_processes_racing_for_a_secret_get_the_same_one(machine):
    racers = [machine.start("input(); print(local.secret('A'))") for _ in range(8)]
    answers = {racer.communicate("\n")[0] for racer in racers}
    assert len(answers) == 1
    assert answers != {""}
    assert [path.name for path in machine.place.secrets.iterdir()] == ["A"]


def test_name_that_leaves_the_folder_is_refused(machine):
    out = machine.python("try: local.secret('../A')\nexcept ValueError as error: print(error)")
    assert out == "'../A' is not a file name"
