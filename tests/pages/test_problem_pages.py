"""The documentation of the error codes: a page for each code, and an index."""

import re
from html import unescape

import pytest
from django.test import Client
from django.utils.translation import gettext, override

import cashback.urls  # noqa: F401  (imports every refusal)
from cashback.http.headers import STRICT_POLICY
from cashback.http.problem_pages import kinds_by_code
from kernel.refusals import all_refusals
from wallet.actions.claim_decisions import AllInFlight, PoolSoldOut

pytestmark = pytest.mark.django_db
CODES = sorted(kinds_by_code())


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_index_links_to_the_page_of_every_refusal(client: Client) -> None:
    page = client.get("/problems/").content.decode()

    linked = set(re.findall(r'href="/problems/(\w+)/"', page))
    assert {refusal.code for refusal in all_refusals()} <= linked
    assert linked == set(CODES)


@pytest.mark.parametrize("language", ["en", "hi"])
@pytest.mark.parametrize("code", CODES)
def test_page_shows_status_meaning_and_remedy_in_the_readers_language(client: Client, code: str, language: str) -> None:
    answer = client.get(f"/problems/{code}/", headers={"Accept-Language": language})

    shown = text(answer.content.decode())
    assert f"{code} · Cashback" in shown
    for kind in kinds_by_code()[code]:
        with override(language):
            meaning, detail = gettext(kind.meaning), gettext(kind.detail)
        assert (language == "en") == (meaning == kind.meaning) == (detail == kind.detail)
        assert f"{kind.status} {kind.title}" in shown
        assert meaning in shown
        assert detail in shown


def test_page_needs_no_script_and_has_the_strict_policy(client: Client) -> None:
    answer = client.get("/problems/pool_sold_out/")

    page = answer.content.decode()
    assert answer["Content-Security-Policy"] == STRICT_POLICY
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", page) == []
    assert PoolSoldOut.meaning in text(page)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("busy", {"Yes."}),
        ("rate_limited", {"Yes."}),
        ("request_in_progress", {"Yes."}),
        ("pool_sold_out", {"No."}),
        ("internal_error", {"Not right away."}),
        ("not_sealed_yet", {"Yes.", "No."}),  # not sealed yet, or under a seal that is not valid
        ("parse_error", {"Yes.", "No.", "Not right away."}),  # too slow; malformed; not implemented
    ],
)
def test_page_says_whether_a_retry_helps(client: Client, code: str, advice: set[str]) -> None:
    shown = text(client.get(f"/problems/{code}/").content.decode())

    assert set(re.findall(r"Does a retry help\? (Yes\.|No\.|Not right away\.)", shown)) == advice


def test_page_lists_every_cause_of_a_code(client: Client) -> None:
    shown = text(client.get("/problems/busy/").content.decode())

    assert AllInFlight.meaning in shown
    assert shown.count("503 Service Unavailable") == len(kinds_by_code()["busy"]) == 5


def test_unknown_code_is_not_found(client: Client) -> None:
    assert client.get("/problems/no_such_code/").status_code == 404
