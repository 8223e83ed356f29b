"""The race over HTTP: real web workers, and clients that keep their connection."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.race import processes
from dev.race.fixture import Participant
from dev.race.transport import ClaimResponse
from kernel.refusals import Refusal
from wallet.verification.claim_log import TRACEBACK, WITHOUT_WAIT

WORKERS, THREADS = 2, 24
WORKER = "cashback.gunicorn_worker.worker.Worker"
START_SECONDS = 60
ANSWER_SECONDS = 60
HOST = "127.0.0.1"
HOME = Path(__file__).resolve().parents[2]


class NoWebServer(Refusal):
    """The web server did not start."""

    code = "no_web_server"
    detail = "The web server of the race did not start; see above."


@dataclass(frozen=True)
class Web:
    """Running web workers: their port, and the process that started them."""

    port: int
    pid: int

    def workers(self) -> list[int]:
        """Return the process ids of the current workers."""
        return processes.child_pids(self.pid)


@contextmanager
def web_server(environ: Mapping[str, str] | None = None, *extra: str, home: Path = HOME) -> Iterator[Web]:
    """Run web workers and yield them; raise NoWebServer when they do not start.

    Arguments:
        environ: their environment, which names the database; default: that of this process.
        extra: more options of gunicorn.
        home: the folder with the code to run.
    """
    with socket.create_server((HOST, 0), backlog=2048) as listener:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "cashback.wsgi", *gunicorn_options(listener.fileno()), *extra],
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            env=environ,
            cwd=home,
        )
        try:
            wait_until_up(process, port)
            yield Web(port, process.pid)
        finally:
            # No client is left, so a graceful shutdown is not needed.
            for pid in [process.pid, *processes.child_pids(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def gunicorn_options(descriptor: int) -> list[str]:
    """Return gunicorn's command line."""
    kind = ["--bind", f"fd://{descriptor}", "--worker-class", WORKER]
    size = ["--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "75", "--timeout", "60"]
    return [*kind, *size, "--log-level", "error", "--no-control-socket"]


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait for the first response, of any status."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            asked = http.client.HTTPConnection(HOST, port, timeout=START_SECONDS)
            asked.request("GET", "/healthz")
            asked.getresponse().read()
            asked.close()
            return
        except OSError:
            time.sleep(0.05)
    raise NoWebServer


class HttpTransport:
    """One keep-alive connection to the API; each request has its user's token."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
        self.connection.connect()

    def asset(self, participant: Participant, asset: str) -> ClaimResponse:
        """POST assets/{id}/claim/."""
        return self.post(f"/api/v1/assets/{asset}/claim/", {"Authorization": f"Bearer {participant.token}"})

    def pool(self, participant: Participant, pool: str, key: str) -> ClaimResponse:
        """POST pools/{id}/claim/ with its key."""
        return self.post(
            f"/api/v1/pools/{pool}/claim/", {"Authorization": f"Bearer {participant.token}", "Idempotency-Key": key}
        )

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def post(self, path: str, headers: dict[str, str], body: str | None = None) -> ClaimResponse:
        """Send one request and read its response."""
        try:
            self.connection.request("POST", path, body, headers)
            response = self.connection.getresponse()
            return parse_response(response.status, response.read(), waits="Retry-After" in response.headers)
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return ClaimResponse("unknown", None, type(error).__name__)


def parse_response(status: int, body: bytes, *, waits: bool = True) -> ClaimResponse:
    """Return the meaning of a response: a claim, a refusal with its code, or an unknown outcome.

    Arguments:
        waits: whether the response has Retry-After, which a 503 requires.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if b"Traceback" in body:
        return ClaimResponse("unknown", status, TRACEBACK)
    if status in (200, 201) and "id" in answer:
        return ClaimResponse("ok", status, str(status), answer)
    if status == 503 and not waits:
        return ClaimResponse("unknown", status, WITHOUT_WAIT)
    if 400 <= status < 500 or status == 503:
        return ClaimResponse("refused", status, answer.get("code", str(status)))
    return ClaimResponse("unknown", status, str(status))
