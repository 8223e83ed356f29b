"""Error reports and traces: off by default, a clear error without their packages, and no personal data in what is sent."""

import gzip
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

WITHOUT_PACKAGES = "import sys; sys.modules['sentry_sdk'] = sys.modules['opentelemetry'] = None; "
LOADED = """
import sys, django
django.setup()
print([name for name in sys.modules if name.startswith(("sentry_sdk", "opentelemetry.exporter"))])
"""
# A request that fails with secrets in its query, cookie, header, body, local variables and error message.
FAILING_REQUEST = """
import django
django.setup()
from django.test import Client
from django.urls import path
from cashback import urls

def fail(request, token):
    password = "local-hunter2"
    raise ValueError("first line\\nKey (email)=(message-hunter2) exists")

# Below /api/, where a request with a token reads no session: the process has no database.
urls.urlpatterns.insert(0, path("api/fail/<str:token>/", fail, name="fail"))
client = Client(raise_request_exception=False, headers={"X-Request-ID": "trace-me-7", "Authorization": "Bearer header-hunter2"})
client.cookies["sessionid"] = "cookie-hunter2"
body = {"password": "body-hunter2"}
print(client.post("/api/fail/path-hunter2/?q=query-hunter2", body, SERVER_NAME="localhost").status_code)
"""
FLUSH_SENTRY = "import sentry_sdk; sentry_sdk.flush(10)"


class Receiver(ThreadingHTTPServer):
    """A local collector that keeps the decompressed bodies it receives, by path."""

    bodies: list[tuple[str, bytes]]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get("Content-Encoding")
        body = gzip.decompress(body) if kind == "gzip" else zlib.decompress(body) if kind == "deflate" else body
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(("127.0.0.1", 0), Handler) as server:
        server.bodies = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "no_proxy": "*"} | environ
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_nothing_of_either_is_imported_unless_its_variable_is_set() -> None:
    assert python(LOADED).stdout == "[]\n"


@pytest.mark.parametrize(
    ("variable", "value", "package"),
    [
        ("SENTRY_DSN", "https://key@sentry.example.com/1", "sentry-sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.com", "opentelemetry-exporter-otlp-proto-http"),
    ],
)
def test_variable_without_its_package_stops_the_start_with_one_sentence(variable: str, value: str, package: str) -> None:
    started = python(f"{WITHOUT_PACKAGES}sys.argv = ['manage.py', 'check']; import manage; manage.main()", **{variable: value})

    assert started.returncode == 1
    assert started.stderr == (
        f"{variable} is set, but {package} is not installed: pip install -r requirements-telemetry.txt, or unset it.\n"
    )


def test_error_report_has_the_request_id_and_no_personal_data(receiver: Receiver) -> None:
    pytest.importorskip("sentry_sdk", reason="needs requirements-telemetry.txt")

    ended = python(FAILING_REQUEST + FLUSH_SENTRY, SENTRY_DSN=f"http://key@127.0.0.1:{receiver.server_port}/1")

    assert ended.stdout == "500\n", ended.stderr
    sent = b"".join(body for _, body in receiver.bodies).decode()
    assert '"request_id":"trace-me-7"' in sent
    assert '"value":"first line"' in sent
    assert "hunter2" not in sent


def test_span_of_a_request_has_its_route_and_no_personal_data(receiver: Receiver) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs requirements-telemetry.txt")

    ended = python(FAILING_REQUEST, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.server_port}")

    assert ended.stdout == "500\n", ended.stderr
    ((path, body),) = receiver.bodies
    assert path == "/v1/traces"
    for part in (b"POST fail", b"http.route", b"trace-me-7", b"cashback"):
        assert part in body
    assert b"hunter2" not in body
