"""Forwarding headers are ignored unless trusted proxies are configured."""

import http.client
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.db import connection

from dev.race import scratch_database, web_server
from tests.test_deployment import PRODUCTION

pytestmark = pytest.mark.django_db  # or there would be no tables
API = "/api/v1/wallet/"
Serve = Callable[..., web_server.Web]


@pytest.fixture(scope="module")
def deployed(django_db_setup: None) -> Iterator[Serve]:
    """Run the web as a deployment on this machine, with more variables; the same variables give the same server."""
    running: dict[tuple[tuple[str, str], ...], web_server.Web] = {}
    with ExitStack() as stack:

        def serve(**environ: str) -> web_server.Web:
            key = tuple(sorted(environ.items()))
            if key not in running:
                running[key] = start(**environ)
            return running[key]

        def start(**environ: str) -> web_server.Web:
            here = {
                "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
                "ALLOWED_HOSTS": "localhost",
                "REDIS_URL": "",
            }
            whole = dict(os.environ) | PRODUCTION | here | environ
            return stack.enter_context(web_server.web_server(whole, "--workers", "1", "--threads", "2"))

        yield serve


def answer(server: web_server.Web, path: str, **headers: str) -> http.client.HTTPResponse:
    """Ask from this machine, as a proxy on it would."""
    asked = http.client.HTTPConnection(web_server.HOST, server.port, timeout=30)
    asked.request("GET", path, headers={"Host": "localhost", **{name.replace("_", "-"): headers[name] for name in headers}})
    found = asked.getresponse()
    found.read()
    asked.close()
    return found


def test_metrics_are_closed_to_this_machine_too_unless_it_is_on_the_list(deployed: Serve) -> None:
    asked = [answer(deployed(METRICS_ALLOWED=allowed), "/metrics").status for allowed in ("", "10.0.0.0/8", "127.0.0.1")]

    assert [status == 200 for status in asked] == [False, False, True]


@pytest.mark.parametrize(
    "header",
    [
        {"X_Forwarded_Proto": "https"},
        {"X_Forwarded_Protocol": "ssl"},
        {"X_Forwarded_Ssl": "on"},
        {"Forwarded": "proto=https"},
        {"Front_End_Https": "on"},
    ],
)
def test_no_header_makes_a_plain_connection_a_secure_one_without_a_trusted_proxy(
    deployed: Serve, header: dict[str, str]
) -> None:
    found = answer(deployed(), API, **header)

    assert (found.status, found.headers["Location"]) == (301, f"https://localhost{API}")
    assert found.headers["Strict-Transport-Security"] is None


def test_a_trusted_proxy_is_believed(deployed: Serve) -> None:
    found = answer(deployed(TRUSTED_PROXIES="1"), API, X_Forwarded_Proto="https", X_Forwarded_For="192.0.2.1")

    assert (found.status, "max-age" in found.headers["Strict-Transport-Security"]) == (401, True)


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"])
def test_a_trusted_proxy_names_no_other_host(deployed: Serve, name: str) -> None:
    server = deployed(TRUSTED_PROXIES="1")

    found = answer(server, API, X_Forwarded_Proto="http", **{name: "evil.example:1"})

    assert found.headers["Location"] == f"https://localhost{API}"
