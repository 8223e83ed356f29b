"""`manage.py services` by hand."""

import subprocess
import sys

from dev.services.paths import CHECKOUT
from tests.services.machines import Machine


def services(machine: Machine, *arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "services", *arguments]
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**machine.environ, **environ},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_up_shows_both_servers_and_down_stops_them(machine: Machine) -> None:
    up = services(machine, "up")
    postgres, redis = machine.pids()
    assert up.returncode == 0, up.stderr
    assert f"PostgreSQL  up, process {postgres}\n" in up.stdout
    assert f"Redis       up, process {redis}\n" in up.stdout
    assert "kept up until `services down`\n" in up.stdout
    assert "schedules   none: `manage.py migrate`, then `manage.py schedule_tasks`\n" in up.stdout
    assert services(machine, "down").stdout == "Stopped; the data is kept.\n"
    assert machine.is_quiet()


def test_status_starts_nothing_and_tells_where_everything_would_be(machine: Machine) -> None:
    status = services(machine, "status").stdout
    assert "PostgreSQL  down\n  version   18." in status
    assert f"  socket    {machine.instance.postgres_socket}\n  data      {machine.instance.data} (0.0 MB)\n" in status
    assert "attached    0 processes\nschedules   unknown while PostgreSQL is down: `manage.py services up`\n" in status
    assert machine.is_quiet()


def test_status_shows_where_servers_are_without_their_passwords(machine: Machine) -> None:
    elsewhere = {
        "DATABASE_URL": "postgresql://me:hunter2@db.invalid:6432/shop?sslpassword=hunter2",
        "REDIS_URL": "redis://:hunter2@cache.invalid/3",
    }
    status = services(machine, "status", **elsewhere).stdout
    assert "PostgreSQL  elsewhere: DATABASE_URL is set (postgresql://db.invalid:6432/shop)\n" in status
    assert "Redis       elsewhere: REDIS_URL is set (redis://cache.invalid/3)\n" in status
    assert "hunter2" not in status


def test_psql_is_on_the_products_database(machine: Machine) -> None:
    done = services(machine, "psql", text="SELECT current_user || '@' || current_database() AS who \\gset\n\\echo :who\n")
    assert (done.returncode, done.stdout) == (0, "cashback@cashback\n"), done.stderr


def test_anything_else_is_refused_with_the_choices(machine: Machine) -> None:
    done = services(machine, "sideways")
    assert done.returncode == 2
    assert "(choose from 'up', 'down', 'status', 'psql')" in done.stderr
