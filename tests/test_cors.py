"""Cross-origin calls: none unless the environment names origins, and then only of the API."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.test_deployment import PRODUCTION

ASK = """
import django, json, sys
django.setup()
from django.test import Client
ask = dict(HTTP_ORIGIN="https://shop.example", HTTP_HOST="localhost", secure=True)
preflight = Client().options("/api/v1/assets/", HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET", **ask)
other = Client().get("/healthz", **ask)
foreign = Client().options("/api/v1/assets/", HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET", **{**ask, "HTTP_ORIGIN": "https://evil.example"})
names = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")
exposed = Client().get("/api/v1/assets/", **ask).headers.get("Access-Control-Expose-Headers")
print(exposed, file=sys.stderr)
print(json.dumps([[answer.headers.get(name) for name in names] for answer in (preflight, other, foreign)]))
"""


def ask(**environ: str) -> subprocess.CompletedProcess[str]:
    """Ask a deployment with these variables for a preflight, another address, and a preflight of another origin."""
    whole = os.environ | PRODUCTION | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "ALLOWED_HOSTS": "localhost"} | environ
    command = [sys.executable, "-c", ASK]
    return subprocess.run(command, cwd=settings.BASE_DIR, env=whole, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("environ", "preflight"),
    [
        ({}, "[null, null]"),
        ({"CORS_ALLOWED_ORIGINS": "https://shop.example"}, '["https://shop.example", null]'),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example, https://shop.example"}, '["https://shop.example", null]'),
        (
            {"CORS_ALLOWED_ORIGINS": "https://shop.example", "CORS_ALLOW_CREDENTIALS": "1"},
            '["https://shop.example", "true"]',
        ),
    ],
)
def test_only_named_origins_may_call_the_api(environ: dict[str, str], preflight: str) -> None:
    answer = ask(**environ)

    assert answer.stdout.strip() == f"[{preflight}, [null, null], [null, null]]", answer.stderr


@pytest.mark.parametrize(
    "origins", ["*", "shop.example", "https://shop.example/", "https://shop.example,", "null", "https://*.example"]
)
def test_what_is_no_origin_refuses_to_start(origins: str) -> None:
    answer = ask(CORS_ALLOWED_ORIGINS=origins)

    assert answer.returncode != 0
    assert "CORS_ALLOWED_ORIGINS must be origins such as https://shop.example" in answer.stderr


def test_browser_apps_may_read_the_headers_that_the_api_documents() -> None:
    answer = ask(CORS_ALLOWED_ORIGINS="https://shop.example")

    exposed = set(answer.stderr.strip().splitlines()[-1].split(", "))
    assert exposed == {"Device-Token", "ETag", "Idempotency-Replayed", "Retry-After", "X-Request-ID", "Content-Disposition"} | {
        "X-Wallet-Position"
    }
