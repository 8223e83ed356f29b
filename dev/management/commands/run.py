"""`manage.py run`: the whole product on this machine, until Ctrl-C."""

import http.client
import io
import logging
import os
import re
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections

from cashback.database.roles import APP_ROLE
from dev import services, test_clock
from dev.services.process_group import ProcessGroup
from dev.services.restarts import GaveUp, RestartablePart, Restarter
from kernel import metric_slots
from wallet.management.base_command import positive_int, whole_number

# A line of `seed` that names a demo user: email, password, role.
SIGN_IN = re.compile(r"(?P<email>[^\s@]+@\S+)\s+(?P<password>\S+)\s+USER\b")
VALUE_OF = """grep -o '"{0}":"[^"]*"' | head -1 | cut -d'"' -f4"""
CURLS = [
    "TOKEN=$(curl -s {api}/auth/token/ -H 'Content-Type: application/json' "
    """-d '{{"email":"{email}","password":"{password}"}}' | {access})""",
    'curl -s "{api}/assets/?status=AVAILABLE&page_size=3" -H "Authorization: Bearer $TOKEN"',
    'curl -s -X POST {api}/assets/$(curl -s "{api}/assets/?status=AVAILABLE&page_size=1" '
    '-H "Authorization: Bearer $TOKEN" | {id})/claim/ -H "Authorization: Bearer $TOKEN"',
]

# Concurrent claims share one connection in a batch, so there may be more threads than connections.
CONNECTIONS = 8
NAMES = WEB, WORKER = "web server", "worker"


class Command(BaseCommand):
    """Servers, tables, demo data, web and worker, in this order."""

    help = "Run the product locally: database, migrations, demo data, web server and worker. Ctrl-C stops everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--port", type=whole_number, default=os.environ.get("PORT") or 8000, help="port (default: $PORT, else 8000)"
        )
        parser.add_argument("--workers", type=positive_int, default=2, help="web processes (default: %(default)s)")
        parser.add_argument("--threads", type=positive_int, default=24, help="threads of each (default: %(default)s)")

        parser.add_argument("--empty", action="store_true", help="without demo data and demo shop: only a first operator")

    def handle(self, *args: Any, host: str, port: int, workers: int, threads: int, empty: bool, **options: Any) -> None:
        """Start everything, restart what stops, and stop everything at the end."""
        _on_end(_interrupt)
        if empty:
            os.environ.setdefault("DEMO_SHOP", "off")
        children = ProcessGroup()
        try:
            with _listen(host, port) as listener:
                services.acquire_lease_if_local()
                sign_ins = self._prepare(empty)
                _start(children, listener, workers, threads)
                # The socket stays open here: clients wait while the web server restarts, and are not refused.
                self._serve(children, _address(host), port, sign_ins)
        except services.LocalServiceError as refusal:
            raise CommandError(str(refusal)) from None
        except OperationalError as error:
            raise CommandError(
                f"Cannot connect to the database ({str(error).strip().splitlines()[0]}): check DATABASE_URL."
            ) from None
        except KeyboardInterrupt:
            self._say("\nStopping…")
        finally:
            # A second signal does not interrupt the shutdown.
            _on_end(signal.SIG_IGN)
            children.stop()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _prepare(self, empty: bool) -> str:
        if missing := "" if os.environ.get("REDIS_URL") else services.redis_missing():
            self._say(missing)
        self._say("Preparing the database…")
        seed = io.StringIO()
        call_command("migrate", verbosity=0, interactive=False)
        if not os.environ.get("DATABASE_URL"):
            call_command("grant_app_role", stdout=io.StringIO())
        test_clock.apply_again()
        call_command("schedule_tasks", stdout=io.StringIO())
        call_command("open_lots", stdout=io.StringIO())  # of claims that an earlier version recorded
        audit_log = logging.getLogger("cashback.audit")
        audit_log.disabled = True  # the demo's own lines would stand between ours
        call_command("seed", stdout=seed, admin_only=empty)
        audit_log.disabled = False
        # The web server and the worker open their own connections.
        connections.close_all()
        return seed.getvalue().strip()

    def _serve(self, children: ProcessGroup, host: str, port: int, sign_ins: str) -> None:
        if ended := children.wait(until=lambda: _answers(host, port)):
            raise CommandError(f"The {ended} exited unexpectedly; see above. Everything else was stopped.")
        self._say(_welcome(f"http://{host}:{port}", sign_ins))
        servers = services.restartable_parts() if settings.LOCAL else []
        try:
            Restarter([*servers, *(_part(children, name) for name in NAMES)], self._say).run()
        except GaveUp as end:
            raise CommandError(f"{end} See above.") from None


def _on_end(handler: Callable[..., Any] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _listen(host: str, port: int) -> socket.socket:
    # Bound before anything starts and passed to the web server, so that no other program can take the port in between.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "invalid port"
        raise CommandError(f"Cannot listen on {host} port {port} ({reason}): choose another with --port or PORT.") from None
    return listener


def _start(children: ProcessGroup, listener: socket.socket, workers: int, threads: int) -> None:
    folder = Path(settings.BASE_DIR)
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "cashback.wsgi",
        "--bind",
        f"fd://{listener.fileno()}",
        "--worker-class",
        "cashback.gunicorn_worker.worker.Worker",
    ]
    limits = ["--workers", str(workers), "--threads", str(threads), "--timeout", "30", "--graceful-timeout", "5"]
    quiet = ["--log-level", "warning", "--no-control-socket"]
    # manage.py lifts the statement timeout for commands; the web server keeps its own.
    environ = {name: value for name, value in os.environ.items() if (name, value) != ("STATEMENT_TIMEOUT_MS", "0")}
    # On the local server the application does not own its tables, as in production: it cannot rewrite history.
    environ["DATABASE_URL"] = environ.get("DATABASE_URL") or services.database_url(role=APP_ROLE)
    environ["PROMETHEUS_MULTIPROC_DIR"] = metric_slots.make_temporary_folder()
    pool = {"DATABASE_POOL": environ.get("DATABASE_POOL", str(min(threads, CONNECTIONS)))}
    children.start(WEB, [*gunicorn, *limits, *quiet], folder, environ | pool, [listener.fileno()])
    children.start(WORKER, [sys.executable, "manage.py", "qcluster"], folder, environ)


def _part(children: ProcessGroup, name: str) -> RestartablePart:
    def how_it_stopped() -> str | None:
        code = children.exit_code(name)
        return None if code is None else f"exit code {code}"

    return RestartablePart(f"The {name}", how_it_stopped, partial(children.restart, name))


def _address(host: str) -> str:
    # A wildcard address cannot be visited.
    return "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _welcome(address: str, sign_ins: str) -> str:
    where = f"The product is at {address}/; admin console: {address}/admin/"
    user = SIGN_IN.search(sign_ins)
    if user is None:
        return f"\n{sign_ins}\n\n{where} - Ctrl-C stops everything."
    facts = user.groupdict()
    facts |= {"api": f"{address}/api/v1", "access": VALUE_OF.format("access"), "id": VALUE_OF.format("id")}
    curls = "\n".join(curl.format(**facts) for curl in CURLS)
    return f"\n{sign_ins}\n\n{curls}\n\n{where} - Ctrl-C stops everything."
