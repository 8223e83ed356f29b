"""`ETag` and `If-Match`: a change that was decided on an old reading is refused."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from tests.api.conftest import ROOT, Caller
from wallet.actions import edit_asset, edit_pool, pool_lifecycle
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]


def url(row: CashbackAsset | CreditPool) -> str:
    return f"{ROOT}/{'assets' if isinstance(row, CashbackAsset) else 'pools'}/{row.pk}/"


def rows() -> list[Any]:
    return [*CashbackAsset.objects.order_by("pk").values(), *CreditPool.objects.order_by("pk").values()]


def test_a_credit_carries_one_tag_through_get_and_patch(as_ada: Caller, issue: Issue) -> None:
    asset = issue()
    first = as_ada.get(url(asset))["ETag"]

    changed = as_ada.patch(url(asset), {"total_value": "10.5"}, headers={"If-Match": first})

    assert changed.status_code == 200
    assert changed["ETag"] != first
    assert changed["ETag"] == as_ada.get(url(asset))["ETag"]


def test_a_new_credit_and_a_new_pool_carry_the_tag_of_their_first_reading(as_ada: Caller) -> None:
    pool = as_ada.post(f"{ROOT}/pools/", {"name": "Diwali", "kind": "PROMOTION", "currency": "INR"})
    credit = as_ada.post(f"{ROOT}/assets/", {"title": "Tea", "total_value": "1", "pool": pool.json()["id"]})

    for kind, answer in (("pools", pool), ("assets", credit)):
        assert answer["ETag"] == as_ada.get(f"{ROOT}/{kind}/{answer.json()['id']}/")["ETag"]


@pytest.mark.parametrize("act", ["patch", "delete", "expire"])
def test_a_change_of_a_credit_that_somebody_changed_is_refused(as_ada: Caller, ada: User, issue: Issue, act: str) -> None:
    asset = issue()
    old = {"If-Match": as_ada.get(url(asset))["ETag"]}
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(10))
    before = rows()
    calls = {
        "patch": lambda: as_ada.patch(url(asset), {"title": "Mine"}, headers=old),
        "delete": lambda: as_ada.delete(url(asset), headers=old),
        "expire": lambda: as_ada.post(f"{url(asset)}expire/", headers=old),
    }

    answer = calls[act]()

    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert rows() == before


def test_a_recreation_is_refused_when_the_expired_credit_is_not_the_one_that_was_read(
    as_ada: Caller, ada: User, issue: Issue
) -> None:
    asset = issue()
    old = {"If-Match": as_ada.get(url(asset))["ETag"]}
    edit_asset.expire_asset(asset.pk, ada)

    assert as_ada.post(f"{url(asset)}recreate/", {}, headers=old).status_code == 412
    assert as_ada.post(f"{url(asset)}recreate/", {}, headers={"If-Match": as_ada.get(url(asset))["ETag"]}).status_code == 201


def test_a_change_of_a_pool_that_somebody_changed_is_refused(as_ada: Caller, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()
    old = as_ada.get(url(pool))["ETag"]
    edit_pool.update_pool(pool.pk, ada, is_active=False)
    before = rows()

    answer = as_ada.patch(url(pool), {"name": "Holi"}, headers={"If-Match": old})

    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert rows() == before


def test_a_claim_in_a_pool_leaves_its_tag(as_ada: Caller, alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    tags = as_ada.get(url(pool))["ETag"], as_ada.get(url(asset))["ETag"]

    claim_asset(asset.pk, alice)

    assert as_ada.get(url(pool))["ETag"] == tags[0]
    assert as_ada.get(url(asset))["ETag"] != tags[1]


def test_a_claimed_credit_is_refused_as_claimed_whatever_its_tag(as_ada: Caller, alice: User, issue: Issue) -> None:
    asset = issue()
    old = as_ada.get(url(asset))["ETag"]
    claim_asset(asset.pk, alice)

    answer = as_ada.patch(url(asset), {"title": "Mine"}, headers={"If-Match": old})

    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_available")


@pytest.mark.parametrize("header", ["*", " * ", "{tag}", '"x", {tag}', '{tag} ,W/"x",', ", ,{tag}", '"a,b", {tag}'])
def test_a_tag_in_any_list_and_an_asterisk_match(as_ada: Caller, issue: Issue, header: str) -> None:
    asset = issue()
    tag = as_ada.get(url(asset))["ETag"]

    assert as_ada.patch(url(asset), {"title": "New"}, headers={"If-Match": header.format(tag=tag)}).status_code == 200


@pytest.mark.parametrize("header", ['"x"', "W/{tag}", '"x", "y"', '""'])
def test_other_tags_and_weak_ones_do_not_match(as_ada: Caller, issue: Issue, header: str) -> None:
    asset = issue()
    tag = as_ada.get(url(asset))["ETag"]

    answer = as_ada.patch(url(asset), {"title": "New"}, headers={"If-Match": header.format(tag=tag)})

    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize("header", ["", "x", '"x', 'x"', "W/x", 'w/"x"', '*, "x"', '"x" "y"', "'x'", ",", '"a b"', '"x";'])
def test_a_malformed_header_is_refused_by_name(as_ada: Caller, issue: Issue, header: str) -> None:
    asset = issue()
    before = rows()

    for answer in (
        as_ada.patch(url(asset), {"title": "New"}, headers={"If-Match": header}),
        as_ada.delete(url(asset), headers={"If-Match": header}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert [error["field"] for error in answer.json()["errors"]] == ["If-Match"]
    assert rows() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["asset", "pool"])
def test_of_changes_that_began_together_one_wins(
    by: Callable[[User], Caller], ada: User, issue: Issue, open_pool: OpenPool, kind: str
) -> None:
    row: CashbackAsset | CreditPool = issue() if kind == "asset" else open_pool()
    callers = [by(ada) for _ in range(6)]
    tag, field = callers[0].get(url(row))["ETag"], "title" if kind == "asset" else "name"
    start, statuses = threading.Barrier(6), []

    def change(number: int) -> None:
        start.wait()
        answer = callers[number].patch(url(row), {field: f"Number {number}"}, headers={"If-Match": tag})
        statuses.append(answer.status_code)
        connection.close()

    threads = [threading.Thread(target=change, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [412] * 5


def test_the_schema_documents_tag_and_condition(as_ada: Caller) -> None:
    paths = as_ada.get(f"{ROOT}/schema/?format=json").json()["paths"]

    for path, method in [
        (f"{ROOT}/assets/{{id}}/", "patch"),
        (f"{ROOT}/assets/{{id}}/", "delete"),
        (f"{ROOT}/assets/{{id}}/expire/", "post"),
        (f"{ROOT}/assets/{{id}}/recreate/", "post"),
        (f"{ROOT}/pools/{{id}}/", "patch"),
    ]:
        operation = paths[path][method]
        assert "If-Match" in [parameter["name"] for parameter in operation["parameters"]]
        assert operation["x-problem-codes"]["412"] == ["precondition_failed"]
    for path in (f"{ROOT}/assets/{{id}}/", f"{ROOT}/pools/{{id}}/"):
        assert "ETag" in paths[path]["get"]["responses"]["200"]["headers"]


@pytest.mark.parametrize("act", ["archive", "unarchive", "duplicate", "issue"])
def test_what_is_done_with_a_pool_that_somebody_changed_is_refused(
    as_ada: Caller, ada: User, open_pool: OpenPool, act: str
) -> None:
    pool = open_pool()
    old = {"If-Match": as_ada.get(url(pool))["ETag"], "Idempotency-Key": "a-key-of-16-letters"}
    edit_pool.update_pool(pool.pk, ada, name="Somebody else's")
    bodies: dict[str, Any] = {
        "duplicate": {"name": "Copy"},
        "issue": {"count": 2, "title": "Tea", "total_value": "1"},
    }
    before = rows()

    answer = as_ada.post(f"{url(pool)}{act}/", bodies.get(act, {}), headers=old)

    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert rows() == before
    now = old | {"If-Match": as_ada.get(url(pool))["ETag"]}
    assert as_ada.post(f"{url(pool)}{act}/", bodies.get(act, {}), headers=now).status_code in (200, 201)


def test_archiving_is_a_change_of_the_pool(as_ada: Caller, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(is_active=False)
    old = {"If-Match": as_ada.get(url(pool))["ETag"]}
    pool_lifecycle.archive_pool(pool.pk, ada)

    assert as_ada.patch(url(pool), {"name": "Mine"}, headers=old).status_code == 412


def test_a_repeated_issue_gets_its_first_answer_although_the_pool_changed(
    as_ada: Caller, ada: User, open_pool: OpenPool
) -> None:
    pool = open_pool()
    sent = {"If-Match": as_ada.get(url(pool))["ETag"], "Idempotency-Key": "a-key-of-16-letters"}
    body = {"count": 2, "title": "Tea", "total_value": "1"}
    first = as_ada.post(f"{url(pool)}issue/", body, headers=sent)
    edit_pool.update_pool(pool.pk, ada, name="Somebody else's")

    again = as_ada.post(f"{url(pool)}issue/", body, headers=sent)

    assert (again.status_code, again.json()) == (201, first.json())
