"""`manage.py services`: manual control of the local PostgreSQL and Redis."""

import os
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django_q.models import Schedule

from dev import services
from dev.services import binaries

ACTIONS = {
    "up": "start both and keep them up until `services down`",
    "down": "stop both, even if they are in use; the data is kept",
    "status": "show state, version, process, socket, data and schedules",
    "psql": "open psql on the product's database",
}
VARIABLES = {"PostgreSQL": "DATABASE_URL", "Redis": "REDIS_URL"}


class Command(BaseCommand):
    """One sub-command per action."""

    help = "Control the PostgreSQL and Redis of this checkout. Commands start them when needed; this is for manual use."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="{" + ",".join(ACTIONS) + "}")
        for name, text in ACTIONS.items():
            actions.add_parser(name, help=text, description=text)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run the chosen action."""
        actions = {"up": self.up, "down": self.down, "status": self.show, "psql": self.psql}
        try:
            actions[action]()
        except services.LocalServiceError as refusal:
            raise CommandError(str(refusal)) from None

    def up(self) -> None:
        """Start the servers for which no URL is set."""
        if os.environ.get("CASHBACK_ENV", "local") != "local":
            raise CommandError("Local servers are available in local mode only: unset CASHBACK_ENV.")
        services.start_services(postgres=not os.environ.get("DATABASE_URL"), redis=not os.environ.get("REDIS_URL"))
        self.show()

    def down(self) -> None:
        """Stop both."""
        users = len(services.services_status().users)
        services.stop_services()
        self.stdout.write("Stopped; the data is kept." + (f" {users} attached processes lost their server." if users else ""))

    def psql(self) -> None:
        """Open psql on the database that the product uses."""
        if os.environ.get("DATABASE_URL"):
            os.environ["PATH"] = f"{binaries.postgres_wheel() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
            call_command("dbshell")
        services.exec_psql()

    def show(self) -> None:
        """Print the status."""
        status = services.services_status()
        for server in status.servers:
            elsewhere = os.environ.get(VARIABLES[server.name])
            self.stdout.write(_elsewhere(server, elsewhere) if elsewhere else _describe(server))
        kept = ", kept up until `services down`" if status.kept_up else ""
        pids = f" ({', '.join(map(str, status.users))})" if status.users else ""
        self.stdout.write(f"attached    {len(status.users)} processes{pids}{kept}")
        self.stdout.write(_schedules(reachable=status.servers[0].up or bool(os.environ.get("DATABASE_URL"))))


def _elsewhere(server: services.Server, url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    # Passwords hide in the query, too.
    shown = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return f"{server.name:<11} elsewhere: {VARIABLES[server.name]} is set ({shown})"


def _describe(server: services.Server) -> str:
    state = f"up, process {server.pid}" if server.up else "down"
    lines = [f"{server.name:<11} {state}", f"  version   {server.version or '-'}", f"  socket    {server.socket}"]
    return "\n".join([*lines, f"  data      {server.folder} ({server.size / 1024**2:.1f} MB)"])


def _schedules(*, reachable: bool) -> str:
    if not reachable:
        return "schedules   unknown while PostgreSQL is down: `manage.py services up`"
    try:
        lines = [
            f"  {row.name or row.func}: next {row.next_run:%Y-%m-%d %H:%M:%S} UTC, last {_result(row)}"
            for row in Schedule.objects.order_by("name")
        ]
    except DatabaseError:
        lines = []
    return (
        "\n".join(["schedules", *lines]) if lines else "schedules   none: `manage.py migrate`, then `manage.py schedule_tasks`"
    )


def _result(schedule: Schedule) -> str:
    return {None: "none yet", True: "succeeded", False: "failed"}[schedule.success()]
