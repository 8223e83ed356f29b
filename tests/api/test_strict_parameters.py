"""Every address refuses a parameter that it does not read, with one code."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import User
from tests.api.addresses import routes
from tests.api.conftest import ROOT, Caller, wrong_fields
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import as_shop, new_key  # noqa: F401  (fixtures)

# A page of documentation, whose script is at the same address under `?script`.
PAGES = {("GET", "docs/")}
ENDPOINTS = sorted(routes() - PAGES)
GETS = [path for method, path in ENDPOINTS if method == "GET" and "{id}" not in path]


def errors_of(answer: Any) -> list[tuple[str, str]]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_unknown_parameter_is_refused_by_every_address(
    as_ada: Caller,
    as_shop: Caller,  # noqa: F811
    method: str,
    path: str,
) -> None:
    url = f"{ROOT}/{path.format(id=uuid4())}?nonsense=1"

    answers = [caller.generic(method, url) for caller in (as_ada, as_shop)]
    allowed = [answer for answer in answers if answer.status_code not in (401, 403)]

    assert allowed, "an operator or a service may call it"
    for answer in allowed:
        assert (answer.status_code, answer.json()["code"], errors_of(answer)) == (400, "invalid", [("nonsense", "unknown")])
        assert "Allowed: " in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("path", GETS)
def test_the_format_is_chosen_at_every_address(as_ada: Caller, as_shop: Caller, path: str) -> None:  # noqa: F811
    answers = [caller.get(f"{ROOT}/{path}", {"format": "json"}) for caller in (as_ada, as_shop)]

    assert 200 in {answer.status_code for answer in answers}


@pytest.mark.parametrize("path", ["assets/", "auth/me/", "me/notices/"])
def test_head_is_answered_as_get_is(as_ada: Caller, path: str) -> None:
    assert as_ada.head(f"{ROOT}/{path}").status_code == 200
    assert as_ada.head(f"{ROOT}/{path}?nonsense=1").status_code == 400


def test_options_are_answered_where_there_are_some(as_ada: Caller) -> None:
    assert as_ada.options(f"{ROOT}/auth/me/").status_code == 200
    assert as_ada.options(f"{ROOT}/auth/me/?nonsense=1").status_code == 400


def test_a_method_that_an_address_does_not_have_is_405_whatever_its_parameters(as_ada: Caller) -> None:
    assert as_ada.put(f"{ROOT}/wallet/?nonsense=1").status_code == 405


@pytest.mark.parametrize("path", ["referral/friends/", "auth/me/", "me/sessions/", "me/notices/", "pools/"])
def test_the_browsable_page_shows_the_refusal(ada: User, path: str) -> None:
    browser = Client(headers={"Accept": "text/html"})
    browser.force_login(ada)

    shown, refused = browser.get(f"{ROOT}/{path}"), browser.get(f"{ROOT}/{path}?nonsense=1")

    assert (shown.status_code, refused.status_code) == (200, 400)
    assert "text/html" in refused.headers["Content-Type"]
    assert "Unknown parameter" in refused.content.decode()


@pytest.mark.parametrize("path", ["assets/", "feed/", "reports/journal/"])
def test_a_parameter_twice_or_without_a_value_is_refused(as_ada: Caller, path: str) -> None:
    assert errors_of(as_ada.get(f"{ROOT}/{path}?page_size=1&page_size=2")) == [("page_size", "duplicate")]
    assert errors_of(as_ada.get(f"{ROOT}/{path}?page_size=")) == [("page_size", "blank")]


def test_only_an_operator_names_whose_claim_to_explain(as_alice: Caller, open_pool: Any) -> None:
    answer = as_alice.get(f"{ROOT}/pools/{open_pool().pk}/explain/", {"user": "bob@example.com"})

    assert wrong_fields(answer) == ["user"]
    assert errors_of(answer) == [("user", "not_allowed")]
