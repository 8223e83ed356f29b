"""Limits of requests, allowed hosts, and what responses never reveal."""

import pickle
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import OperationalError, ProgrammingError, connection
from django.test import Client
from django_redis import get_redis_connection
from pytest_django import Settings

from accounts.models import User
from cashback.redis_cache import OPEN_SECONDS
from tests.api.conftest import ROOT
from tests.conftest import PASSWORD
from tests.security.addresses import addresses
from tests.security.conftest import as_caller
from wallet.assets.models import CashbackAsset

Browser = Callable[..., Client]
Issue = Callable[..., CashbackAsset]

# --- Bodies ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def uploads(tmp_path: Path, settings: Settings) -> Path:
    """The folder that files would be put into."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "address", ["/", "/sign-in/", "/register/", "/claims/", "/admin/login/", "/api/v1/auth/token/", "/nothing/"]
)
def test_file_over_the_limit_is_neither_read_nor_stored(
    browser_of: Browser, db: None, uploads: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(TemporaryUploadedFile, "__init__", lambda self, name, *_: kept.append(name))

    answer = browser_of().post(address, {"file": SimpleUploadedFile("big.bin", b"x" * 3_000_000)})

    assert (answer.status_code, kept, list(uploads.iterdir())) == (413, [], [])


@pytest.mark.parametrize("length", [65_536, 65_537])
def test_64_kilobytes_are_read_and_no_byte_more(browser_of: Browser, db: None, length: int) -> None:
    body = b"username=a&password=b&x=".ljust(length, b"x")

    answer = browser_of().generic("POST", "/sign-in/", body, "application/x-www-form-urlencoded")

    assert answer.status_code == (200 if length == 65_536 else 413)


def test_a_form_of_too_many_fields_is_refused(browser_of: Browser, db: None) -> None:
    body = "&".join(f"f{n}=1" for n in range(1_100))

    answer = browser_of().generic("POST", "/sign-in/", body, "application/x-www-form-urlencoded")

    assert answer.status_code == 400


# --- Hosts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/sign-in/", "/admin/login/", "/api/v1/assets/", "/api/v1/docs/"])
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example:80", "a b"])
def test_a_foreign_host_is_refused_everywhere(browser_of: Browser, db: None, address: str, host: str) -> None:
    answer = browser_of().get(address, headers={"Host": host})

    assert answer.status_code == 400
    assert b"evil" not in answer.content


def test_forwarded_host_is_not_used_in_redirects(browser_of: Browser, alice: User, issue: Issue) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Host": "evil.example"}
    for _ in range(2):
        issue()

    answers: list[Any] = [
        browser_of(alice).get(address, headers=forged) for address in ("/", "/dashboard/", "/claims/", "/sign-in/")
    ]
    answers += [browser_of().get(address, headers=forged) for address in ("/claims/", "/admin/", "/api/v1/docs/")]
    answers.append(as_caller(alice).get(f"{ROOT}/assets/?page_size=1", headers=forged))

    assert all("evil" not in answer.headers.get("Location", "") + answer.content.decode() for answer in answers)
    assert answers[-1].json()["next"].startswith("http://testserver/")


# --- What an answer never tells ----------------------------------------------------------------------------------------

INSIDE = re.compile(rb'Traceback|File &quot;/|File "/|psycopg|SELECT |INSERT |UPDATE .* SET|django\.|site-packages|relation "')


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("error", [ProgrammingError("SELECT secret FROM x"), OperationalError("server at 10.0.0.5 refused")])
def test_no_response_shows_sql_or_code_when_the_database_fails(
    browser_of: Browser, ada: User, ids: dict[str, str], error: Exception
) -> None:
    adas = browser_of(ada)

    def broken(*_: Any) -> None:
        raise type(error)(*error.args)  # anew: the traceback of one that is raised again grows each time

    for address in addresses(ids):
        with connection.execute_wrapper(broken):
            answer: Any = adas.get(address)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        quiet = address in ("/api/v1/schema/", "/api/v1/docs/", "/metrics")
        assert quiet or not INSIDE.search(body), (address, INSIDE.search(body))
        assert not re.search(rb"secret|10\.0\.0\.5", body), address


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    "text", ["'", "' OR '1'='1", "1; DROP TABLE x--", "%27", "\\", "{{7*7}}", "%s", "\u0000", "../../etc/passwd"]
)
def test_input_is_never_sql_or_a_template(browser_of: Browser, ada: User, issue: Issue, text: str) -> None:
    issue()
    before = CashbackAsset.objects.count()

    for name in ("search", "status", "pool", "currency", "cursor", "ordering", "min_value"):
        answer: Any = as_caller(ada).get(f"{ROOT}/assets/", {name: text})
        assert answer.status_code in (200, 400), (name, answer.content)
        assert not INSIDE.search(answer.content), name
    for address in ("/dashboard/", "/admin/assets/cashbackasset/", "/admin/ledger/entry/"):
        answer = browser_of(ada).get(address, {"q": text, "page": text, "o": text, "p": text})
        assert answer.status_code in (200, 302, 400, 404), address
        assert not INSIDE.search(answer.content), address

    assert CashbackAsset.objects.count() == before


# --- What Redis holds --------------------------------------------------------------------------------------------------


class Trap:
    """Whoever unpickles this has run somebody else's code."""

    sprung = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (spring, ())


def spring() -> None:
    Trap.sprung = True


@pytest.fixture
def trapped() -> Iterator[str]:
    """Put a trap into Redis in the place of what was cached, and return its name in the cache."""
    cache.set("a thing", 1)
    assert get_redis_connection("default").set(caches["default"].make_key("a thing"), pickle.dumps(Trap()), xx=True)
    Trap.sprung = False
    yield "a thing"
    Trap.sprung = False


def test_a_cache_that_pickles_would_run_into_the_trap(settings: Settings, trapped: str) -> None:
    """It shows that the next test can fail."""
    default = settings.CACHES["default"]
    options = default["OPTIONS"] | {"SERIALIZER": "django_redis.serializers.pickle.PickleSerializer"}
    settings.CACHES = settings.CACHES | {"default": default | {"OPTIONS": options}}

    cache.get(trapped)

    assert Trap.sprung


def test_our_cache_opens_no_pickle(trapped: str) -> None:
    with pytest.raises(ValueError, match="decode"):
        cache.get(trapped)

    assert not Trap.sprung


def test_nothing_in_redis_is_a_pickle_and_no_pickle_there_is_opened(client: Client, alice: User) -> None:
    for _ in range(3):
        client.post("/sign-in/", {"username": alice.email, "password": "wrong"})
    redis = get_redis_connection("default")
    keys = redis.keys("*")
    assert keys
    for key in keys:
        assert not (redis.get(key) or b"").startswith(b"\x80"), key
        redis.set(key, pickle.dumps(Trap()), keepttl=True)

    answer = client.post("/sign-in/", {"username": alice.email, "password": PASSWORD})

    assert answer.status_code in (302, 429)
    assert not Trap.sprung
    time.sleep(OPEN_SECONDS)  # until the store is asked again: the next test counts on it


def test_the_shared_cache_writes_json(settings: Settings) -> None:
    assert settings.CACHES["default"]["OPTIONS"]["SERIALIZER"] == "django_redis.serializers.json.JSONSerializer"
    cache.set("a thing", {"a": [1, "b"]})
    assert get_redis_connection("default").get(caches["default"].make_key("a thing")) == b'{"a": [1, "b"]}'
