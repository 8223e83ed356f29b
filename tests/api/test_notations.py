"""One notation for each kind of input: numbers, members of a body, tokens, ids and time zones."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from accounts.tokens import issue_pair
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.assets.models import CashbackAsset, CreditPool

POOLS, ASSETS = f"{ROOT}/pools/", f"{ROOT}/assets/"
POOL = {"name": "Holi", "kind": "PROMOTION", "currency": "INR"}
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
NO_WHOLE_NUMBERS: list[Any] = ["2", "1_0", "+2", " 2", "2 ", "2.0", "1e3", "٢", "２", "1,000", "", 2.0, True, [2], None]


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


# --- Whole numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", NO_WHOLE_NUMBERS)
def test_a_count_in_another_notation_issues_nothing(as_ada: Caller, open_pool: OpenPool, count: Any) -> None:
    body = {"count": count, "title": "Bonus", "total_value": "1"}

    assert wrong_fields(as_ada.post(f"{POOLS}{open_pool().pk}/issue/", body, headers=key())) == ["count"]
    assert not CashbackAsset.objects.exists()


def test_a_count_is_issued(as_ada: Caller, open_pool: OpenPool) -> None:
    body = {"count": 2, "title": "Bonus", "total_value": "1"}

    assert as_ada.post(f"{POOLS}{open_pool().pk}/issue/", body, headers=key()).json()["issued"] == 2


@pytest.mark.parametrize("limit", NO_WHOLE_NUMBERS[:-1])
def test_a_limit_in_another_notation_opens_no_pool(as_ada: Caller, limit: Any) -> None:
    assert wrong_fields(as_ada.post(POOLS, POOL | {"per_user_limit": limit})) == ["per_user_limit"]
    assert not CreditPool.objects.exists()


@pytest.mark.parametrize("size", ["abc", "1_0", "+2", " 2", "2.0", "٢", "1e1", "0", "101"])
@pytest.mark.parametrize("address", ["assets/", "claims/", "pools/", "reports/ownership/", "reports/ownership/?format=csv"])
def test_a_page_size_in_another_notation_is_refused_by_every_list(as_ada: Caller, address: str, size: str) -> None:
    url, _, query = f"{ROOT}/{address}".partition("?")
    parameters = {"page_size": size} | ({"format": "csv"} if query else {})

    assert wrong_fields(as_ada.get(url, parameters)) == ["page_size"]


@pytest.mark.parametrize("parameter", ["cursor", "ordering", "min_value", "unheard_of"])
def test_a_file_is_refused_like_its_list(as_ada: Caller, parameter: str) -> None:
    answer = as_ada.get(f"{ROOT}/reports/ownership/", {parameter: "1,000", "format": "csv"})

    assert wrong_fields(answer) == [parameter]


# --- Bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "body", "names"),
    [
        ("assets/", '{"title": "A", "total_value": "1", "currency": "INR", "title": "B"}', ["title"]),
        ("assets/", '{"title": "A", "total_value": "1", "currency": "INR", "total_value": "1"}', ["total_value"]),
        ("assets/", '{"title": {"a": 1, "a": 2}, "total_value": "1", "currency": "INR"}', ["title.a"]),
        ("assets/", '[{"x": 1, "x": 1}]', ["0.x"]),
        ("grants/batch/", '{"lines": [{"user": "a"}, {"user": "b", "user": "c"}]}', ["lines.1.user"]),
        ("grants/batch/", '{"lines": [{"user": "b", "user": "c"}], "lines": []}', ["lines"]),
        ("grants/batch/", '{"pool": 1, "pool": 2, "lines": [[{"a": {"b": 1, "b": 1}}]]}', ["pool", "lines.0.0.a.b"]),
        ("auth/token/", '{"email": "ada@example.com", "password": "a", "password": "b"}', ["password"]),
        ("auth/register/", '{"email": "a@example.com", "email": "b@example.com", "password": "correct horse"}', ["email"]),
        ("pools/", '{"name": "A", "name": "B", "kind": "PROMOTION", "currency": "INR"}', ["name"]),
        ("pools/", '{"n\\u0061me": "A", "name": "B", "kind": "PROMOTION", "currency": "INR"}', ["name"]),
    ],
)
def test_a_member_that_appears_twice_is_refused(as_ada: Caller, address: str, body: str, names: list[str]) -> None:
    answer = as_ada.generic("POST", f"{ROOT}/{address}", body, "application/json")

    assert wrong_fields(answer) == names
    assert {error["code"] for error in answer.json()["errors"]} == {"duplicate"}
    assert not CashbackAsset.objects.exists()
    assert not CreditPool.objects.exists()


def test_each_error_within_a_list_is_named_by_its_path(as_ada: Caller) -> None:
    lines: list[Any] = [{"user": "a", "reference": "r"}, {"user": "", "refrence": "r"}, "a", {"user": None, "reference": ["r"]}]

    answer = as_ada.post(f"{ROOT}/grants/batch/", {"pool": "x", "reason": "gift", "lines": lines})

    paths = ["lines.1.reference", "lines.1.refrence", "lines.1.user", "lines.2", "lines.3.reference", "lines.3.user", "pool"]
    assert sorted(wrong_fields(answer)) == paths


def test_a_claim_with_a_member_twice_claims_nothing(as_alice: Caller, issue: Issue) -> None:
    answer = as_alice.generic("POST", f"{ASSETS}{issue().pk}/claim/", '{"a": 1, "a": 1}', "application/json")

    assert wrong_fields(answer) == ["a"]


@pytest.mark.parametrize("body", ['{"title": ', '{"total_value": NaN}', "\ufeff{}", '{"a": 1,}'])
def test_what_is_no_json_is_still_a_parse_error(as_ada: Caller, body: str) -> None:
    answer = as_ada.generic("POST", ASSETS, body, "application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


# --- Tokens and ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_of_a_token_is_in_any_case(anonymous: Caller, alice: User, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {issue_pair(alice).access}"}

    assert anonymous.get(f"{ROOT}/auth/me/", headers=header).json()["email"] == alice.email


@pytest.mark.parametrize("header", ["", " ", "bearer", "bearer a b", "Bearers x", "token x", "bearerx"])
def test_another_header_is_no_token(anonymous: Caller, header: str) -> None:
    assert anonymous.get(f"{ROOT}/auth/me/", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("write", [str.upper, str.title, str.lower])
def test_an_id_in_a_path_is_in_any_case(
    as_alice: Caller, as_ada: Caller, issue: Issue, open_pool: OpenPool, write: Callable[[str], str]
) -> None:
    pool, asset = open_pool(), issue()

    shown = [
        as_ada.get(f"{ROOT}/{kind}/{write(str(row.pk))}/").json()["id"] for kind, row in (("pools", pool), ("assets", asset))
    ]
    claim = as_alice.post(f"{ASSETS}{write(str(asset.pk))}/claim/").json()
    again = as_alice.get(f"{ROOT}/claims/{write(claim['id'])}/").json()

    assert shown == [str(pool.pk), str(asset.pk)]
    assert (claim["asset"], again["id"]) == (str(asset.pk), claim["id"])


def test_a_retry_with_the_id_in_another_case_is_the_same_request(as_alice: Caller, issue: Issue) -> None:
    pk, same = str(issue().pk), key()

    first = as_alice.post(f"{ASSETS}{pk}/claim/", headers=same)
    second = as_alice.post(f"{ASSETS}{pk.upper()}/claim/", headers=same)

    assert (first.json(), second.headers["Idempotency-Replayed"]) == (second.json(), "true")


# --- Time zones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "localtime",
        "Factory",
        "posixrules",
        "posix/Asia/Kolkata",
        "right/UTC",
        "asia/kolkata",
        "../UTC",
        "/etc/localtime",
        " UTC\u200b",
    ],
)
def test_what_is_no_places_time_zone_is_refused(as_ada: Caller, name: str) -> None:
    assert wrong_fields(as_ada.post(POOLS, POOL | {"time_zone": name})) == ["time_zone"]


@pytest.mark.parametrize("name", ["UTC", "Asia/Kolkata", "Asia/Calcutta", "Etc/GMT+5", "America/Argentina/Ushuaia"])
def test_iana_zones_are_accepted(as_ada: Caller, name: str) -> None:
    assert as_ada.post(POOLS, POOL | {"time_zone": name}).json()["time_zone"] == name


# --- The meaning of a body ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        '{"count": 3, "title": "Bonus", "total_value": "100.00", "expires_at": "2090-01-01T00:00:00Z"}',
        '{"expires_at":"2090-01-01T05:30:00+05:30","total_value":100,"title":" Bonus ","count":3}',
        '{"count": 3, "title": "Bonus", "total_value": "100.0000", "expires_at": "2090-01-01T00:00:00.000Z"}',
    ],
)
def test_a_retry_may_be_written_differently(as_ada: Caller, open_pool: OpenPool, again: str) -> None:
    url, same = f"{POOLS}{open_pool().pk}/issue/", key()
    body = {"count": 3, "title": "Bonus", "total_value": "100", "expires_at": "2090-01-01T00:00:00Z"}
    as_ada.post(url, body, headers=same)

    answer = as_ada.generic("POST", url, again, "application/json", headers=same)

    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, "true")
    assert CashbackAsset.objects.count() == 3


def test_a_default_that_is_written_out_is_the_same_request(as_ada: Caller, open_pool: OpenPool) -> None:
    url, same, body = f"{POOLS}{open_pool().pk}/issue/", key(), {"count": 3, "title": "Bonus", "total_value": "100"}
    as_ada.post(url, body, headers=same)

    assert as_ada.post(url, body | {"expires_at": None}, headers=same).headers.get("Idempotency-Replayed") == "true"
    assert as_ada.post(url, body | {"expires_at": "2090-01-01"}, headers=same).status_code == 422
    assert as_ada.post(url, body | {"total_value": "100.01"}, headers=same).status_code == 422


# --- Amounts of several currencies ----------------------------------------------------------------------------------------

COMPARED = [{"min_value": "1"}, {"max_value": "100"}, {"ordering": "total_value"}, {"ordering": "-total_value"}]


@pytest.mark.parametrize("compared", COMPARED)
@pytest.mark.parametrize("address", ["assets/", "reports/ownership/", "reports/ownership/?format=csv"])
def test_values_are_compared_within_one_currency(
    as_ada: Caller, issue: Issue, open_pool: OpenPool, address: str, compared: dict[str, str]
) -> None:
    rupees, yen, pooled = issue(), issue(currency="JPY"), issue(pool=open_pool())
    url, _, query = f"{ROOT}/{address}".partition("?")
    query_string = compared | ({"format": "csv"} if query else {})

    answer = as_ada.get(url, query_string)
    chosen = as_ada.get(url, query_string | {"currency": "JPY"})
    in_pool = as_ada.get(url, query_string | {"pool": str(pooled.pool_id)})

    if query and "ordering" in compared:  # a file is sorted within each currency
        ordered = [line.split(",")[3] for line in answer.getvalue().decode().splitlines()[1:]]
        assert (answer.status_code, ordered) == (200, ["INR", "INR", "JPY"])
    else:
        assert wrong_fields(answer) == ["currency"]
    for found, asset in ((chosen, yen), (in_pool, pooled)):
        content = found.getvalue().decode()
        assert (found.status_code, str(asset.pk) in content, str(rupees.pk) in content) == (200, True, False)


@pytest.mark.parametrize("compared", COMPARED)
def test_values_of_the_only_currency_need_no_choice(as_alice: Caller, issue: Issue, compared: dict[str, str]) -> None:
    issue()

    assert len(as_alice.get(ASSETS, compared).json()["results"]) == 1
