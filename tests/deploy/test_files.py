"""The files of deploy/: each is read by the program that it is for, where that is installed, and by a parser everywhere."""

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from django.urls import get_resolver

from dev.cluster import network
from dev.cluster.templates import DEPLOY, fill_template

FILES = sorted(path.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc")
TEMPLATES = [name for name in FILES if name != "README.md" and not name.startswith(("grafana/", "systemd/", "backup/base"))]
TEMPLATES = [name for name in TEMPLATES if not name.endswith(".sh") and "${" in (DEPLOY / name).read_text()]
SERVICES = [name for name in FILES if name.startswith("systemd/")]
APPLICATION = [name for name in SERVICES if name.startswith("systemd/cashback-") and name.endswith(".service")]
README = (DEPLOY / "README.md").read_text()
VALUES = {
    **{name.upper(): network.ADDRESSES[name] for name in network.DATABASES},
    "NODE": "db1",
    "ADDRESS": network.ADDRESSES["db1"],
    "NETWORK": network.NETWORK,
    "DATABASE": "cashback",
    "SYSTEM_USER": "postgres",
    "SYNCHRONOUS": "true",
    "MAX_CONNECTIONS": 200,
    "SHARED_BUFFERS": "1GB",
    "POOL_MODE": "session",
    "POOL_SIZE": 20,
    "BACKUP_DIRECTORY": "/var/backups/cashback",
    "RECOVERY_TIME": "2026-11-30 09:15:00+00",
    **dict.fromkeys(("SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "APP_PASSWORD"), "secret of tests"),
}


@pytest.fixture
def values(tmp_path: Path) -> dict[str, object]:
    """Values for every template, whose paths are in a folder of the test."""
    folders = ("ETCD", "DATA", "STATE", "SOCKET", "BIN")
    files = ("HAPROXY_SOCKET", "PGBOUNCER_USERS", "ANALYZE_ON_PROMOTION")
    paths = {f"{name}_DIRECTORY": tmp_path / name.lower() for name in folders} | {name: tmp_path / name for name in files}
    return VALUES | paths


def names_in(text: str) -> set[str]:
    return {match["braced"] for match in Template.pattern.finditer(text) if match["braced"]}


def run(*command: object) -> tuple[int, str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_every_file_and_every_value_is_explained() -> None:
    named = set(re.findall(r"`deploy/([\w./-]+)`", README))
    timers = {name for name in FILES if name.endswith(".timer")}
    table = README.split("| value | meaning |")[1].split("\n\n")[0]

    assert named == set(FILES) - timers - {"README.md"}
    assert set(re.findall(r"`([A-Z_0-9]+)`", table)) == {
        name for file in TEMPLATES for name in names_in((DEPLOY / file).read_text())
    }


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_needs_no_other_values(name: str, values: dict[str, object]) -> None:
    assert "${" not in fill_template(name, values)


@pytest.mark.parametrize("name", ["etcd/etcd.conf.yml", "patroni/patroni.yml"])
def test_yaml_is_read(name: str, values: dict[str, object]) -> None:
    assert yaml.safe_load(fill_template(name, values))


def patroni(values: dict[str, object]) -> Any:
    return yaml.safe_load(fill_template("patroni/patroni.yml", values))


def test_patroni_loses_no_commit_and_survives_its_witnesses(values: dict[str, object]) -> None:
    dcs = patroni(values)["bootstrap"]["dcs"]

    assert (dcs["synchronous_mode"], dcs["failsafe_mode"], dcs["postgresql"]["use_pg_rewind"]) == (True, True, True)
    # As Patroni demands; otherwise it corrects them and says so.
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"] == 20
    assert "data-checksums" in patroni(values)["bootstrap"]["initdb"]


def test_pgbouncer_tries_again_after_a_second(values: dict[str, object]) -> None:
    parsed = configparser.ConfigParser()
    parsed.read_string(fill_template("pgbouncer/pgbouncer.ini", values))

    assert parsed["pgbouncer"]["server_login_retry"] == "1"
    assert set(parsed["databases"]) == {"cashback", "cashback_replica"}


def test_haproxy_accepts_its_file(values: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(fill_template("haproxy/haproxy.cfg", values))

    assert run(program("haproxy"), "-c", "-f", file)[0] == 0
    assert "on-marked-down shutdown-sessions" in file.read_text()


def test_prometheus_accepts_its_files() -> None:
    promtool = program("promtool")

    assert run(promtool, "check", "rules", DEPLOY / "prometheus/cashback.rules.yml")[0] == 0
    assert run(promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml")[0] == 0


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".sh")])
def test_a_script_is_a_script(name: str) -> None:
    assert run("sh", "-n", DEPLOY / name) == (0, "")
    assert (DEPLOY / name).stat().st_mode & 0o111


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_accepts_its_units(name: str) -> None:
    analyze = program("systemd-analyze")

    _, said = run(analyze, "verify", DEPLOY / name)

    # Programs, users and units that are not on this machine are not mistakes of the file.
    mistakes = [line for line in said.splitlines() if Path(name).name in line]
    assert [line for line in mistakes if not re.search(r"is not executable|Unit .* not found|Failed to create", line)] == []


@pytest.mark.parametrize("name", [name for name in APPLICATION if "receivewal" not in name and "basebackup" not in name])
def test_units_of_the_application_are_confined(name: str) -> None:
    text = (DEPLOY / name).read_text()

    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "CapabilityBoundingSet=", "User=cashback"):
        assert f"\n{line}\n" in text


def expressions() -> Iterator[str]:
    """Yield every expression of the alerts and of the dashboard."""
    rules = yaml.safe_load((DEPLOY / "prometheus/cashback.rules.yml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])
    board = json.loads((DEPLOY / "grafana/cashback.json").read_text())
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])


def exposed(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def test_alerts_and_dashboard_use_metrics_that_exist(client: Any, db: None) -> None:
    used = {name for expression in expressions() for name in re.findall(r"\bcashback_\w+", expression)}
    there = exposed(client.get("/metrics").content.decode())

    assert len(used) > 15
    assert {re.sub("_bucket$", "", name) for name in used} - there == set()


def test_routes_in_alerts_and_dashboard_exist() -> None:
    routes = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    wanted = {pattern for expression in expressions() for pattern in re.findall(r'route=~"([^"]+)"', expression)}

    assert wanted == {"asset-claim|pool-claim", "payment-.*"}
    assert all(any(re.fullmatch(part, route) for route in routes) for pattern in wanted for part in pattern.split("|"))
