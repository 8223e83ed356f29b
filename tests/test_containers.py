"""Dockerfile, compose.yaml and deploy/: no container engine runs here, so what they name is checked and their steps are run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from django.db import connection

from dev.chaos.mail_server import free_port
from dev.services.paths import POSTGRES_MAJOR
from tests.test_deployment import PRODUCTION, ROOT
from tests.test_production import PRODUCT, deployment, environ, product, serving  # noqa: F401  (fixtures)

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
BIN = str(Path(sys.executable).parent)


def instructions(name: str) -> list[str]:
    """Return the arguments of each instruction of this name, in order; continued lines are one."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", joined, re.MULTILINE)


def new_env() -> dict[str, str]:
    """Return what deploy/new-env.sh writes."""
    written = subprocess.run(["sh", "deploy/new-env.sh"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in written.splitlines() if not line.startswith("#"))


def script(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of deploy/ with the environment of a container."""
    environ = PRODUCTION | variables | {"PATH": f"{BIN}:/usr/bin:/bin"}  # noqa: F811
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)


def test_the_image_copies_the_product_and_nothing_of_the_developers_tools() -> None:
    copied = {arguments.split()[0] for arguments in instructions("COPY") if not arguments.startswith("--from")}

    assert copied == {*PRODUCT, "examples", "deploy", "requirements.txt"}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_installs_the_pins_by_their_hashes_and_runs_without_root() -> None:
    assert "--require-hashes --only-binary :all: -r /tmp/requirements.txt" in DOCKERFILE
    assert len(instructions("FROM")) == 2
    assert instructions("USER") == ["10001"]
    assert DOCKERFILE.index("USER 10001") > DOCKERFILE.rindex("FROM")
    assert not re.search(r"^(ENV|ARG) .*(_KEY|PASSWORD|SECRET)", DOCKERFILE, re.MULTILINE)


def test_the_services_wait_for_each_other_and_only_migrate_is_the_owner() -> None:
    assert set(SERVICES) == {"db", "redis", "migrate", "web", "scheduler"}
    assert SERVICES["db"]["image"].startswith(f"postgres:{POSTGRES_MAJOR}-")
    users = {
        name: SERVICES[name]["environment"]["DATABASE_URL"].split("//")[1].split(":")[0]
        for name in SERVICES
        if name in ("migrate", "web", "scheduler")
    }
    assert users == {"migrate": "cashback", "web": "cashback_app", "scheduler": "cashback_app"}
    for name in ("web", "scheduler"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert (SERVICES[name]["read_only"], SERVICES[name]["cap_drop"]) == (True, ["ALL"])
    assert all("healthcheck" in SERVICES[name] for name in ("db", "redis", "scheduler"))
    assert "HEALTHCHECK" in DOCKERFILE


def test_every_variable_of_compose_is_written_by_the_script_that_makes_env() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "compose.yaml").read_text()))

    assert required == {"OWNER_PASSWORD", "APP_PASSWORD"}
    assert required <= new_env().keys()


def test_new_keys_are_accepted_and_differ_each_time() -> None:
    first, second = new_env(), new_env()

    keys = [name for name in first if name.endswith(("_KEY", "_PASSWORD"))]
    assert len({values[name] for values in (first, second) for name in keys}) == 2 * len(keys) == 10
    check = script("python", "manage.py", "check", **first)
    assert (check.returncode, check.stderr) == (0, "")


def test_static_files_are_collected_without_secrets_or_a_database(tmp_path: Path) -> None:
    (build,) = [text for text in instructions("RUN") if "collectstatic" in text]
    command = build.replace("/venv/bin/python", shlex.quote(sys.executable)).partition("&& /venv")[0]
    command = command.split(shlex.quote(sys.executable) + " -m compileall")[0].removesuffix("&& ").strip()
    collect = command.replace("manage.py collectstatic --noinput", "manage.py collectstatic --noinput --dry-run")
    ran = subprocess.run(
        ["sh", "-c", collect], cwd=ROOT, env={"PATH": f"{BIN}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert "static files" in ran.stdout


@pytest.mark.django_db
def test_a_release_migrates_grants_and_schedules(deployment: dict[str, str]) -> None:  # noqa: F811
    url = {"DATABASE_URL": deployment["DATABASE_URL"], "REDIS_URL": deployment["REDIS_URL"]}
    ran = script("sh", "deploy/migrate.sh", **url)
    assert ran.returncode == 0, ran.stdout + ran.stderr

    stale = script("python", "deploy/scheduler_healthcheck.py", **url)
    assert (stale.returncode, stale.stderr) == (1, "no task has run in the last five minutes\n")
    parameters = {name: value for name, value in connection.get_connection_params().items() if name in ("host", "port", "user")}
    with psycopg.connect(**parameters, dbname=urlsplit(url["DATABASE_URL"]).path[1:]) as session:
        session.execute(
            "INSERT INTO django_q_task (id, name, func, started, stopped, success, attempt_count)"
            " VALUES ('1', 'sweep', 'wallet.tasks.sweep', now(), now(), true, 1)"
        )
    assert script("python", "deploy/scheduler_healthcheck.py", **url).returncode == 0


@pytest.mark.django_db
def test_the_web_server_logs_json_to_standard_output_alone(deployment: dict[str, str]) -> None:  # noqa: F811
    assert script("python", "manage.py", "migrate", "--verbosity", "0", **deployment).returncode == 0
    port = free_port()
    (command,) = instructions("CMD")[-1:]
    logs = {"LOG_FORMAT": "json", "LOG_STREAM": "stdout", "WEB_CONCURRENCY": "1", "PORT": str(port), "DATABASE_POOL": "4"}
    logs["PYTHONWARNINGS"] = "ignore:No directory"  # the image has its static files
    server = subprocess.Popen(
        [sys.executable, "-m", *json.loads(command)],
        cwd=ROOT,
        env=deployment | {"PYTHONPATH": "", "PATH": os.environ["PATH"]} | logs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        serving(server, port)
        healthy = script("python", "deploy/healthcheck.py", PORT=str(port))
    finally:
        server.send_signal(signal.SIGTERM)
        out, errors = server.communicate(timeout=60)

    lines = [json.loads(line) for line in out.splitlines()]
    assert (healthy.returncode, errors) == (0, "")
    assert {"gunicorn.error", "cashback.access"} <= {line["logger"] for line in lines}
    assert script("python", "deploy/healthcheck.py", PORT=str(port)).returncode == 1
