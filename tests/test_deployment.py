"""A real deployment: the checks are clean, and it refuses to start when it is not safe."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "CASHBACK_ENV": "production",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
    "SEAL_SIGNING_KEY": secrets.token_urlsafe(48),
    "DATABASE_URL": "postgresql://app:secret@db.example.com/cashback",
    "REDIS_URL": "redis://redis.example.com/0",
    "ALLOWED_HOSTS": "wallet.example.com",
    "PATH": "/usr/bin:/bin",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=PRODUCTION | environment, capture_output=True, text=True, check=False)


def test_with_production_variables_the_deploy_check_is_clean() -> None:
    check = manage("check", "--deploy", "--fail-level", "WARNING")

    assert (check.returncode, check.stderr) == (0, "")
    assert "no issues" in check.stdout


def test_without_redis_the_deploy_check_says_that_limits_are_counted_per_process() -> None:
    check = manage("check", "--deploy", "--fail-level", "WARNING", REDIS_URL="")

    assert check.returncode == 1
    assert "cashback.W001" in check.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SIGNING_KEY", "SEAL_SIGNING_KEY"])
@pytest.mark.parametrize("weak", ["", " ", " " * 64, "\n" * 64, "short", "a" * 64, "changeme-changeme-changeme-chang"])
def test_a_weak_key_refuses_to_start(name: str, weak: str) -> None:
    start = manage("check", **{name: weak})

    assert start.returncode == 1
    assert f"{name} must be at least 32 random bytes" in start.stderr


@pytest.mark.parametrize(
    ("name", "other"),
    [("JWT_SIGNING_KEY", "SECRET_KEY"), ("SEAL_SIGNING_KEY", "SECRET_KEY"), ("SEAL_SIGNING_KEY", "JWT_SIGNING_KEY")],
)
def test_one_key_for_two_uses_refuses_to_start(name: str, other: str) -> None:
    start = manage("check", **{name: PRODUCTION[other]})

    assert start.returncode == 1
    assert f"{name} must differ from {other}" in start.stderr


@pytest.mark.parametrize("bad", ["0" * 63, "g" * 64, " ", "0" * 64 + ", ,"])
def test_a_malformed_public_key_of_the_seals_refuses_to_start(bad: str) -> None:
    start = manage("check", SEAL_PUBLIC_KEYS=bad)

    assert (start.returncode, start.stderr) == (
        1,
        "SEAL_PUBLIC_KEYS must be public keys of 64 hex digits, separated by commas: see manage.py seal_ledger --public-key.\n",
    )


@pytest.mark.parametrize("good", ["", "0" * 64 + ", " + "aB" * 32])
def test_public_keys_of_the_seals_are_read(good: str) -> None:
    assert manage("check", SEAL_PUBLIC_KEYS=good).returncode == 0


@pytest.mark.parametrize("bad", [" ", "redis.example.com:6379", "http://redis.example.com"])
def test_what_is_no_url_of_redis_refuses_to_start(bad: str) -> None:
    start = manage("check", REDIS_URL=bad)

    assert (start.returncode, start.stderr) == (1, "REDIS_URL must be a URL, e.g. redis://host/0, or be left out.\n")


def test_without_a_database_a_deployment_refuses_to_start_and_starts_none() -> None:
    start = manage("check", DATABASE_URL="")

    assert start.returncode == 1
    assert "DATABASE_URL must be set outside local mode" in start.stderr


def test_another_engine_than_postgresql_fails_the_check() -> None:
    check = manage("check", DATABASE_URL="sqlite:///:memory:")

    assert check.returncode == 1
    assert "cashback.E001" in check.stderr


def test_an_unknown_claim_lock_refuses_to_start() -> None:
    start = manage("check", CLAIM_LOCK="memcached")

    assert start.returncode == 1
    assert 'CLAIM_LOCK must be "redis" or empty' in start.stderr


@pytest.mark.parametrize("debug", ["1", "true"])
def test_debug_in_a_deployment_fails_the_deploy_check(debug: str) -> None:
    check = manage("check", "--deploy", "--fail-level", "WARNING", DEBUG=debug)

    assert check.returncode == 1
    assert "DEBUG" in check.stderr
