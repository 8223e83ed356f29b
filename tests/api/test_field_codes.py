"""One mistake has one code in `errors`, wherever it is made, and words that say what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import ROOT, Caller
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import as_shop, new_key  # noqa: F401  (fixtures)

GUIDE = Path(__file__).resolve().parents[2] / "docs/integrate.md"
POOL = {"name": "Holi", "kind": "PROMOTION", "currency": "INR"}
# By code: requests with this mistake, as a path with a query string, or a path and a body.
MISTAKES: dict[str, list[tuple[str, dict[str, Any] | None]]] = {
    "unknown": [("assets/?a=1", None), ("wallet/?a=1", None), ("auth/me/?a=1", None), ("pools/", POOL | {"a": 1})],
    "blank": [("assets/?search=", None), ("wallet/?as_of=", None), ("pools/", POOL | {"name": ""})],
    "duplicate": [("assets/?search=a&search=b", None), ("feed/?types=a&types=b", None)],
    "instant": [
        ("assets/?expires_after=soon", None),
        ("claims/?from=2026-13-01", None),
        ("payments/?to=1", None),
        ("wallet/?as_of=soon", None),
        ("wallet/history/?from=soon", None),
        ("reports/liability/?as_of=soon", None),
        ("pools/", POOL | {"opens_at": "soon"}),
        ("pools/", POOL | {"closes_at": 5}),
        ("assets/", {"title": "A", "total_value": "1", "currency": "INR", "expires_at": "soon"}),
    ],
    "amount": [
        ("assets/?currency=INR&min_value=1e3", None),
        ("reports/ownership/?currency=INR&max_value=" + "1" * 16, None),
        ("assets/", {"title": "A", "total_value": "1e3", "currency": "INR"}),
        ("pools/", POOL | {"budget": "1,000"}),
    ],
    "invalid_cursor": [
        ("assets/?cursor=x", None),
        ("wallet/history/?cursor=x", None),
        ("reports/journal/?cursor=x", None),
        ("feed/?after=x", None),
    ],
    "min_value": [
        ("assets/?page_size=0", None),
        ("reports/journal/?page_size=0", None),
        ("feed/?page_size=0", None),
        ("pools/", POOL | {"per_user_limit": 0}),
        ("assets/?currency=INR&min_value=-1", None),
    ],
    "max_value": [
        ("assets/?page_size=101", None),
        ("reports/journal/?page_size=101", None),
        ("feed/?page_size=101", None),
        ("pools/", POOL | {"per_user_limit": 40_000}),
    ],
    "invalid_choice": [
        ("assets/?status=GONE", None),
        ("assets/?ordering=title", None),
        ("assets/?format=xml", None),
        ("wallet/history/?kind=GIFT", None),
        ("proposals/?state=LOST", None),
        ("feed/?types=credit.stolen", None),
        ("reports/journal/?bom=2", None),
        ("pools/", POOL | {"kind": "LOTTERY"}),
    ],
    "currency": [
        ("assets/?currency=inr", None),
        ("payments/?currency=RUPEE", None),
        ("wallet/history/?currency=IN", None),
        ("reports/summary/?currency=RUPEE", None),
        ("pools/", POOL | {"currency": "RUPEE"}),
    ],
    "invalid": [
        ("assets/?page_size=ten", None),
        ("feed/?page_size=ten", None),
        ("assets/?pool=7", None),
        ("reports/summary/?pool=7", None),
        ("pools/", POOL | {"per_user_limit": "5"}),
        ("pools/", POOL | {"is_active": "yes"}),
        ("pools/", POOL | {"name": 5}),
    ],
    "range": [("assets/?expires_after=2027-01-02&expires_before=2027-01-01", None)],
    "future": [("wallet/?as_of=2999-01-01", None), ("reports/liability/?as_of=2999-01-01", None)],
}
CASES = [(code, path, body) for code, cases in MISTAKES.items() for path, body in cases]


@pytest.mark.parametrize(("code", "path", "body"), CASES)
def test_one_mistake_has_one_code(as_ada: Caller, code: str, path: str, body: dict[str, Any] | None) -> None:
    answer = as_ada.post(f"{ROOT}/{path}", body) if body else as_ada.get(f"{ROOT}/{path}")

    assert answer.status_code == 400
    assert [error["code"] for error in answer.json()["errors"]] == [code]


@pytest.mark.parametrize(("path", "body"), MISTAKES["invalid_choice"])
def test_a_wrong_choice_lists_the_right_ones(as_ada: Caller, path: str, body: dict[str, Any] | None) -> None:
    answer = as_ada.post(f"{ROOT}/{path}", body) if body else as_ada.get(f"{ROOT}/{path}")

    assert re.search(r"Use one of: \S+", answer.json()["errors"][0]["detail"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "Send a list of 1 or more items."),
        ([{"user": "alice@example.com", "reference": "gift"}] * 501, "Send a list of at most 500 items."),
        ({"user": "alice@example.com"}, "Send a list, in square brackets."),
        (["alice@example.com"], "Send a JSON object, with the fields in braces."),
    ],
)
def test_a_wrong_list_is_refused_in_words(as_shop: Caller, lines: Any, said: str) -> None:  # noqa: F811
    body = {"pool": "0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11", "reason": "gift", "lines": lines}

    answer = as_shop.post(f"{ROOT}/grants/batch/", body)

    assert (answer.status_code, [error["detail"] for error in answer.json()["errors"]]) == (400, [said])


def test_a_pool_that_does_not_exist_is_said_so(as_ada: Caller) -> None:
    body = {"title": "A", "total_value": "1", "pool": "0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11"}

    assert as_ada.post(f"{ROOT}/assets/", body).json()["errors"][0]["detail"] == "No pool has this id."


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_of_another_type_is_told_the_right_one(as_ada: Caller, media_type: str) -> None:
    answer = as_ada.generic("POST", f"{ROOT}/pools/", "name=Holi", media_type)

    assert (answer.status_code, answer.json()["detail"]) == (415, "Send the body as application/json.")


def test_a_wrong_method_is_told_where_the_right_ones_are(as_ada: Caller) -> None:
    answer = as_ada.put(f"{ROOT}/pools/")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "API documentation" in answer.json()["detail"]


def test_the_codes_are_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", GUIDE.read_text(), re.MULTILINE))

    assert MISTAKES.keys() <= documented
