"""`manage.py run`: the whole product, from an empty folder to Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from dev.services.paths import CHECKOUT
from tests.services.machines import Machine


def run(machine: Machine, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "run", *arguments]
    return subprocess.Popen(
        command, cwd=CHECKOUT, env={**machine.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refusal(machine: Machine, *arguments: str, **environ: str) -> str:
    child = run(machine, *arguments, **environ)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    return err


def output_until(child: subprocess.Popen[str], words: str) -> list[str]:
    lines = []
    assert child.stdout is not None
    for line in child.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(child.communicate()[1])


@pytest.fixture
def port() -> str:
    return free_port()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_product_comes_up_from_nothing_and_leaves_nothing_behind(machine: Machine, port: str) -> None:
    child = run(machine, "--workers", "1", PORT=port)
    lines = output_until(child, "Ctrl-C stops everything")
    at = f"http://127.0.0.1:{port}/"
    assert lines[-1] == f"The product is at {at}; admin console: {at}admin/ - Ctrl-C stops everything.\n"
    # The three lines as a reader would paste them.
    pasted = subprocess.run(["bash", "-c", "\necho\n".join(lines[-5:-2])], capture_output=True, text=True, check=True).stdout
    listed, claim = (json.loads(line) for line in pasted.split("\n") if line)
    assert claim["asset"] == listed["results"][0]["id"]
    assert claim["amount"] == listed["results"][0]["total_value"]
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, "\nStopping…\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_empty_product_has_a_first_operator_and_nothing_else(machine: Machine, port: str) -> None:
    child = run(machine, "--workers", "1", "--empty", PORT=port)
    lines = output_until(child, "Ctrl-C stops everything")
    at = f"http://127.0.0.1:{port}"
    found = re.search(r"^The first operator\n  (\S+)  (\S+)  ADMIN$", "".join(lines), re.MULTILINE)
    assert found
    assert "curl" not in "".join(lines)
    body = json.dumps({"email": found[1], "password": found[2]}).encode()
    request = Request(f"{at}/api/v1/auth/token/", body, {"Content-Type": "application/json"})
    access = json.load(urlopen(request))["access"]
    pools = json.load(urlopen(Request(f"{at}/api/v1/pools/", headers={"Authorization": f"Bearer {access}"})))
    assert pools["results"] == []
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{at}/shop/")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 0


def test_busy_port_is_one_sentence(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = refusal(machine, "--port", str(port))
    assert sentence == (
        f"CommandError: Cannot listen on 127.0.0.1 port {port} (Address already in use): choose another with --port or PORT.\n"
    )


def test_port_out_of_range_is_one_sentence(machine: Machine) -> None:
    assert refusal(machine, PORT="70000").endswith("port 70000 (invalid port): choose another with --port or PORT.\n")


def test_database_that_does_not_answer_is_one_sentence(machine: Machine, port: str) -> None:
    child = run(
        machine, "--port", port, DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/shop", REDIS_URL="redis://127.0.0.1:1"
    )
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err.startswith("CommandError: Cannot connect to the database (")
    assert err.endswith("): check DATABASE_URL.\n")
    assert "hunter2" not in err
