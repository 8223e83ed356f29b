"""Where the servers cannot be, one sentence says so and what to set; where they are not wanted, nothing happens."""

import os
import subprocess
import sys

import pytest

from dev.services import redis
from dev.services.paths import CHECKOUT
from tests.services.machines import Machine


def test_folder_that_cannot_be_made_is_named_in_one_sentence(machine: Machine) -> None:
    blocked = machine.state / "file"
    blocked.touch()
    sentence = Machine(blocked / "below").refusal("services.acquire_lease()")
    assert sentence == f"Cannot use the folder {blocked}/below (Not a directory): set CASHBACK_STATE to a writable folder."


def test_secret_in_a_folder_that_cannot_be_made_is_refused_alike(machine: Machine) -> None:
    blocked = machine.state / "file"
    blocked.touch()
    assert "CASHBACK_STATE" in Machine(blocked / "below").refusal("services.local_secret('SECRET_KEY')")


def test_folder_too_deep_for_a_socket_asks_for_a_shorter_one(machine: Machine) -> None:
    deep = Machine(machine.state / ("x" * 90))
    assert (
        deep.refusal("services.acquire_lease()")
        == f"The path {deep.instance.run} is too long for a socket: set CASHBACK_STATE to a shorter folder."
    )
    assert list(machine.state.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another user")
def test_folder_of_another_user_is_not_used(machine: Machine) -> None:
    machine.instance.folder.mkdir()
    os.chown(machine.instance.folder, 12345, 12345)
    assert (
        machine.refusal("services.acquire_lease()")
        == f"The folder {machine.instance.folder} belongs to someone else: set CASHBACK_STATE to a folder of your own."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as somebody else")
def test_failed_initdb_shows_the_last_line_of_its_log(machine: Machine) -> None:
    machine.state.chmod(0o700)
    sentence = machine.refusal("services.acquire_lease()")
    assert sentence.startswith("initdb failed (initdb: error: ")
    assert "Permission denied" in sentence
    assert sentence.endswith("or set CASHBACK_STATE or DATABASE_URL.")


def test_server_that_does_not_start_shows_the_last_line_of_its_log(machine: Machine) -> None:
    machine.python("services.acquire_lease(redis=False); services.stop_services()")
    (machine.instance.data / "PG_VERSION").write_text("17\n")
    sentence = machine.refusal(
        "from dev.services import postgres; postgres.RETRY_SECONDS = 0; services.acquire_lease(redis=False)"
    )
    assert sentence.startswith("PostgreSQL does not start (")
    assert sentence.endswith("or set DATABASE_URL.")
    assert "18" in sentence


def test_platform_without_the_wheels_is_told_what_to_set(machine: Machine) -> None:
    ask = (
        "print(services.redis_url(), services.redis_missing())\n"
        "try: services.acquire_lease()\nexcept services.LocalServiceError as error: print(error)"
    )
    # -S: a Python that sees none of the installed packages.
    command = [sys.executable, "-S", "-c", f"from dev import services\n{ask}"]
    environ = {**machine.environ, "PYTHONPATH": str(CHECKOUT), "PATH": "/nowhere"}
    first, second = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()
    assert first == f"None {redis.MISSING}"
    assert second.startswith("There is no PostgreSQL 18 for this platform")
    assert "DATABASE_URL" in second


@pytest.mark.parametrize("profile", ["../up", "UPPER", "a" * 17])
def test_profile_that_is_no_name_is_refused(machine: Machine, profile: str) -> None:
    code = f"import os; os.environ['CASHBACK_LOCAL_PROFILE'] = {profile!r}; services.database_url()"
    assert "CASHBACK_LOCAL_PROFILE" in machine.refusal(code)


def test_servers_placed_elsewhere_are_not_started(machine: Machine) -> None:
    both = "{'DATABASE_URL': 'postgresql://db/x', 'REDIS_URL': 'redis://r'}"
    machine.python(f"services.acquire_lease_if_local({both})")
    assert list(machine.state.iterdir()) == []


def test_nothing_is_started_outside_local_mode(machine: Machine) -> None:
    machine.python("services.acquire_lease_if_local({'CASHBACK_ENV': 'production'})")
    assert list(machine.state.iterdir()) == []


def test_only_the_server_that_is_wanted_is_started(machine: Machine) -> None:
    machine.python("services.acquire_lease_if_local({'DATABASE_URL': 'postgresql://db/x'})")
    assert not machine.instance.data.exists()
    assert machine.instance.redis_socket.exists()


def test_profiles_and_state_folders_do_not_mix(machine: Machine) -> None:
    other = Machine(machine.state, CASHBACK_LOCAL_PROFILE="dev")
    assert other.instance.folder != machine.instance.folder
    assert machine.python("print(services.local_secret('A'))") != other.python("print(services.local_secret('A'))")
