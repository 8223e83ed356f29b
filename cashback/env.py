"""Typed readers of environment variables: a wrong value raises ImproperlyConfigured with the variable's name and an example."""

import logging
import re
import shlex
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from django.core.exceptions import ImproperlyConfigured

from kernel.whole_numbers import parse_whole_number

env = environ.Env()
# "local": a developer's machine, for which the project starts servers and makes keys. Any other value: a deployment.
LOCAL: bool = env.str("CASHBACK_ENV", "local") == "local"
if LOCAL:
    from dev import services  # the package is not part of a deployment

# Providers of mail and the name of django-anymail's setting that takes their key.
MAIL_PROVIDERS = {
    "brevo": "BREVO_API_KEY",
    "mailersend": "MAILERSEND_API_TOKEN",
    "mailgun": "MAILGUN_API_KEY",
    "postmark": "POSTMARK_SERVER_TOKEN",
    "resend": "RESEND_API_KEY",
    "sparkpost": "SPARKPOST_API_KEY",
}


def read_key(name: str) -> str:
    """Return the secret `name`, of at least 32 bytes (RFC 7518 §3.2); in local mode the project makes a missing one."""
    value: str = env.str(name, "")
    if not value and LOCAL:
        return services.local_secret(name)
    if len(value.encode()) < 32 or len(set(value)) < 10:
        raise ImproperlyConfigured(f"{name} must be at least 32 random bytes: set it, e.g. to `openssl rand -base64 48`.")
    return value


def read_public_keys(name: str) -> list[str]:
    """Return Ed25519 public keys in hex (32 bytes each), separated by commas; none when `name` is not set."""
    value: str = env.str(name, "")
    keys = [key.strip() for key in value.split(",")] if value else []
    if not all(re.fullmatch(r"[0-9A-Fa-f]{64}", key) for key in keys):
        raise ImproperlyConfigured(
            f"{name} must be public keys of 64 hex digits, separated by commas: see manage.py seal_ledger --public-key."
        )
    return keys


def read_absolute_path(name: str) -> str:
    """Return the path of a file, from the root; empty when `name` is not set."""
    value: str = env.str(name, "")
    if value and not Path(value).is_absolute():
        raise ImproperlyConfigured(f'{name} must be a path from the root such as /mnt/evidence/seals.jsonl, not "{value}".')
    return value


def read_command(name: str, needs: dict[str, str]) -> str:
    """Return a command line, empty when `name` is not set; it is of use only together with the settings that it `needs`."""
    value: str = env.str(name, "")
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a command line: {error}.") from error
    missing = [other for other, setting in needs.items() if words and not setting]
    if missing:
        raise ImproperlyConfigured(f"{name} needs {', '.join(missing)}.")
    return value


def read_origins(name: str) -> list[str]:
    """Return origins such as https://shop.example, separated by commas; none when `name` is not set."""
    value: str = env.str(name, "")
    origins = [origin.strip() for origin in value.split(",")] if value else []
    if not all(re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin) for origin in origins):
        raise ImproperlyConfigured(f'{name} must be origins such as https://shop.example, separated by commas, not "{value}".')
    return origins


def read_redis_url() -> str:
    """Return the URL of Redis: REDIS_URL, or the project's own server in local mode; empty where there is none."""
    url: str = env.str("REDIS_URL", "")
    if url and not re.match(r"(rediss?|unix)://", url):
        raise ImproperlyConfigured("REDIS_URL must be a URL, e.g. redis://host/0, or be left out.")
    return url or (LOCAL and services.redis_url()) or ""


def read_rate(name: str, default: str) -> str:
    """Return a rate: "count/period" with a period of s, m, h or d, or "off"."""
    value: str = env.str(name, default)
    if value != "off" and not re.fullmatch(r"[1-9]\d*/[1-9]?\d*[smhd]", value):
        raise ImproperlyConfigured(f'{name} must be a rate such as {default} (s, m, h or d), or off, not "{value}".')
    return value


def read_level(name: str, default: str) -> str:
    """Return the name of one of Python's log levels."""
    value: str = env.str(name, default)
    if value not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f'{name} must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not "{value}".')
    return value


def read_log_format(name: str) -> str:
    """Return "text" or "json"."""
    value: str = env.str(name, "text")
    if value not in ("text", "json"):
        raise ImproperlyConfigured(f'{name} must be "text" or "json", not "{value}".')
    return value


def read_log_stream(name: str) -> str:
    """Return "stdout" or "stderr"."""
    value: str = env.str(name, "stderr")
    if value not in ("stdout", "stderr"):
        raise ImproperlyConfigured(f'{name} must be "stdout" or "stderr", not "{value}".')
    return value


def read_telemetry(name: str, **package_by_module: str) -> str:
    """Return the value of `name`, empty if it is not set; each of the modules must be installed if it is."""
    value: str = env.str(name, "")
    missing = [package for module, package in package_by_module.items() if value and find_spec(module) is None]
    if missing:
        raise ImproperlyConfigured(
            f"{name} is set, but {' and '.join(missing)} is not installed: "
            "pip install -r requirements-telemetry.txt, or unset it."
        )
    return value


def read_int(name: str, default: int, minimum: int = 0) -> int:
    """Return a whole number of at least `minimum`."""
    value: str = env.str(name, str(default))
    try:
        return parse_whole_number(value, minimum)
    except ValueError as error:
        raise ImproperlyConfigured(f'{name} must be a whole number of at least {minimum}, not "{value}".') from error


def read_positive_int(name: str, default: int) -> int:
    """Return a whole number of at least 1."""
    return read_int(name, default, minimum=1)


def read_claim_lock(name: str) -> str:
    """Return "redis" or an empty string."""
    value: str = env.str(name, "")
    if value not in ("", "redis"):
        raise ImproperlyConfigured(f'{name} must be "redis" or empty, not "{value}".')
    return value


def read_public_url(name: str, hosts: list[str], https: bool) -> str:
    """Return the address of the site for links in emails, without a slash at its end; by default of the first allowed host.

    It never comes from a request, whose Host header its sender chooses. Empty: there is no host to name.
    """
    named = next((host for host in hosts if not host.startswith(("*", "."))), "")
    default = f"{'https' if https else 'http'}://{named}" if named else ""
    if LOCAL:
        default = f"http://127.0.0.1:{env.int('PORT', 8000)}"
    value: str = env.str(name, default)
    if value and not re.fullmatch(r"https?://[^/?#\s@]+", value.rstrip("/")):
        raise ImproperlyConfigured(f'{name} must be an address such as https://wallet.example.com, not "{value}".')
    return value.rstrip("/")


def read_email_url(name: str) -> dict[str, Any]:
    """Return Django's settings of outgoing mail. By default it is printed in local mode, and not sent in a deployment.

    A provider's API is named by its scheme, with its key: postmark://KEY@, mailgun://KEY@ and so on (MAIL_PROVIDERS).
    """
    value: str = env.str(name, "consolemail://" if LOCAL else "dummymail://")
    scheme, _, rest = value.partition("://")
    if scheme in MAIL_PROVIDERS:
        return provider_settings(name, scheme, rest)
    try:
        config: dict[str, Any] = env.email_url_config(value)
    except (ImproperlyConfigured, KeyError, ValueError) as error:
        known = ", ".join(("smtp+tls", "smtp+ssl", "smtp", "consolemail", "dummymail", *MAIL_PROVIDERS))
        raise ImproperlyConfigured(
            f"{name} must be a URL such as smtp+tls://user:password@host:587 with one of these schemes: {known}."
        ) from error
    config.pop("OPTIONS", None)
    return config


def provider_settings(name: str, provider: str, rest: str) -> dict[str, Any]:
    """Return Django's settings for mail through a provider's API (django-anymail).

    Arguments:
        rest: what follows "://" in the URL: the key, percent-encoded, and "@".
    """
    key, at, _ = rest.partition("@")
    if not key or not at:
        raise ImproperlyConfigured(f"{name} must be {provider}://KEY@ with the provider's API key.")
    if find_spec("anymail") is None:
        raise ImproperlyConfigured(f"{name} names {provider}, but django-anymail is not installed.")
    backend = f"anymail.backends.{provider}.EmailBackend"
    return {"EMAIL_BACKEND": backend, "ANYMAIL": {MAIL_PROVIDERS[provider]: unquote(key), "REQUESTS_TIMEOUT": 10}}


def require_distinct(keys: dict[str, str]) -> None:
    """Raise ImproperlyConfigured when two of the keys are equal: a leak of one must not reveal another."""
    for name, other in combinations(keys, 2):
        if keys[name] == keys[other]:
            raise ImproperlyConfigured(f"{name} must differ from {other}: a leak of one must not reveal the other.")


def read_caches() -> dict[str, Any]:
    """Return Django's settings of the caches.

    "default" and "counts" are in Redis where there is one, else in this process's memory; "local" and "claimed" are always in
    this process's memory.
    """
    # Large enough for the counts of a flood of addresses: a cull would drop the counts of callers over their limit.
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 50_000}}
    in_process = {name: memory | {"LOCATION": name} for name in ("local", "claimed")}
    url = read_redis_url()
    if not url:
        return {"default": memory, "counts": memory} | in_process
    timeout = read_int("REDIS_TIMEOUT_MS", 100) / 1000
    redis = {
        "BACKEND": "cashback.redis_cache.CircuitBreakingRedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "cashback",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": timeout,
            "SOCKET_TIMEOUT": timeout,
        },
    }
    return {"default": redis, "counts": redis | {"BACKEND": "cashback.redis_cache.RateLimitCache"}} | in_process
