"""docs/integrate.md: its blocks are run against the product."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from accounts.service_keys import NewKey
from accounts.services import Scope
from wallet.assets.models import CashbackAsset, CreditPool

PAGE = settings.BASE_DIR / "docs/integrate.md"
EXPECTED = """\
claimed 100.00 INR
available 100.00 INR
refused 404 not_found
covered 20.00 missing 0.00
HELD 20.00
CAPTURED 15.00
PARTLY_REFUNDED 5.00
refused 409 insufficient_credit
"""
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not on PATH: the JavaScript blocks are not run")
SECRET = "whsec_" + base64.b64encode(b"a key of some thirty-two bytes..").decode()
BODY = '{"type": "payment.captured", "title": "दीवाली"}'


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run(command: list[str], script: Path, text: str, **environ: str) -> str:
    """Write a script, run it and return what it printed."""
    script.write_text(text)
    ended = subprocess.run(
        [*command, script], env=os.environ | environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def where(
    live_server: LiveServer,
    new_key: Callable[..., NewKey],
    open_pool: Callable[..., CreditPool],
    issue: Callable[..., CashbackAsset],
) -> dict[str, str]:
    """A product with an offer, and the key of a shop."""
    issue(pool=open_pool())
    return {"WALLET": live_server.url, "SERVICE_KEY": new_key(Scope.QUOTE, Scope.HOLD, Scope.CAPTURE, Scope.REFUND).text}


@pytest.mark.django_db(transaction=True)
def test_the_python_blocks_register_claim_and_pay(where: dict[str, str], tmp_path: Path) -> None:
    assert run([sys.executable], tmp_path / "integrate.py", "\n".join(blocks("python")), **where) == EXPECTED


@needs_node
@pytest.mark.django_db(transaction=True)
def test_the_javascript_blocks_register_claim_and_pay(where: dict[str, str], tmp_path: Path) -> None:
    assert run([str(NODE)], tmp_path / "integrate.mjs", "\n".join(blocks("javascript")), **where) == EXPECTED


class Scripted(BaseHTTPRequestHandler):
    """Answers the requests in turn: what is sealed later, an empty body, a refusal."""

    answers: ClassVar = [
        (409, {"Retry-After": "0"}, b'{"status": 409, "code": "not_sealed_yet", "detail": "Wait."}'),
        (503, {"Retry-After": "0"}, b'{"status": 503, "code": "busy", "detail": "Wait."}'),
        (200, {}, b'{"sealed": true}'),
        (204, {}, b""),
        (202, {"Content-Length": "0"}, b""),
        (409, {}, b'{"status": 409, "code": "email_taken", "detail": "Sign in."}'),
    ]
    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        status, headers, body = self.answers[len(self.keys)]
        self.keys.append(self.headers["Idempotency-Key"])
        self.send_response(status)
        for name, value in ({} if status == 204 else {"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def scripted() -> Iterator[str]:
    """The address of a server that answers as Scripted does."""
    Scripted.keys.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


PYTHON_CALLS = """
for _ in range(3):
    print(json.dumps(call("POST", "x/", {})))
try:
    call("POST", "x/", {})
except Refused as refusal:
    print(refusal.code)
"""
JAVASCRIPT_CALLS = """
for (let count = 0; count < 3; count++) console.log(JSON.stringify(await call("POST", "x/", { body: {} })));
try { await call("POST", "x/", { body: {} }); } catch (refusal) { console.log(refusal.code); }
"""


@pytest.mark.parametrize(
    ("language", "command", "calls"),
    [
        ("python", [sys.executable], PYTHON_CALLS),
        pytest.param("javascript", [str(NODE)], JAVASCRIPT_CALLS, marks=needs_node),
    ],
)
def test_call_retries_by_retry_after_with_the_same_key_and_returns_nothing_for_an_empty_body(
    language: str, command: list[str], calls: str, scripted: str, tmp_path: Path
) -> None:
    printed = run(command, tmp_path / "call.mjs", blocks(language)[0] + calls, WALLET=scripted)

    assert printed.replace(" ", "") == '{"sealed":true}\nnull\nnull\nemail_taken\n'
    first, *others = Scripted.keys
    assert others[:2] == [first, first]
    assert len({*others[1:]}) == len(others) - 1 == 4


def signed(sent: int, body: str = BODY) -> dict[str, str]:
    """Return the headers of a webhook, as Standard Webhooks signs it; an older signature comes first."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"msg_1.{sent}.{body}".encode(), hashlib.sha256).digest()
    signatures = f"v1,b2xk v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": "msg_1", "webhook-timestamp": str(sent), "webhook-signature": signatures}


WEBHOOKS = [
    (0, BODY, "payment.captured"),
    (-400, BODY, "too far away"),
    (400, BODY, "too far away"),
    (0, BODY.replace("captured", "refunded"), "does not match"),
]


@pytest.mark.parametrize(("age", "body", "outcome"), WEBHOOKS)
def test_the_python_block_verifies_webhooks(age: int, body: str, outcome: str) -> None:
    names: dict[str, Any] = {"json": json, "time": time}
    block = next(part for part in blocks("python") if "def verify_webhook" in part)
    exec(block, names)  # noqa: S102  (our own page)
    try:
        found = names["verify_webhook"](SECRET, signed(int(time.time()) + age), body.encode())["type"]
    except ValueError as error:
        found = str(error)

    assert outcome in found


@needs_node
@pytest.mark.parametrize(("age", "body", "outcome"), WEBHOOKS)
def test_the_javascript_block_verifies_webhooks(age: int, body: str, outcome: str, tmp_path: Path) -> None:
    block = next(part for part in blocks("javascript") if "function verifyWebhook" in part)
    call = """
    const { SECRET, BODY, HEADERS } = process.env;
    try { console.log(verifyWebhook(SECRET, JSON.parse(HEADERS), BODY).type); } catch (error) { console.log(error.message); }
    """
    headers = json.dumps(signed(int(time.time()) + age))
    printed = run([str(NODE)], tmp_path / "webhook.mjs", block + call, SECRET=SECRET, BODY=body, HEADERS=headers)

    assert outcome in printed


def test_the_two_languages_show_the_same_steps() -> None:
    calls = [
        re.findall(r'"(?:GET|POST)", [f`"]*([a-z/]+)', "\n".join(blocks(language))) for language in ("python", "javascript")
    ]

    assert len(calls[0]) == len(calls[1]) > 8
