"""Writes at a standby are refused as busy, and the next request reaches the primary."""

import select
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_pair
from kernel import transactions
from kernel.transactions import Busy, atomic_with_retry
from tests.concurrency import at_once
from tests.conftest import PASSWORD
from tests.database.conftest import Pair
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rates")]
Issue = Callable[..., CashbackAsset]
READY, READ_ONLY = (200, "ok"), (503, "read-only")


def caller(user: User) -> APIClient:
    """Return a signed-in API client."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(user).access}")
    return client


def visitor(user: User) -> Client:
    """Return a browser that is signed in."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def readiness() -> tuple[int, str]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["database"]


def is_busy(answer: Any) -> bool:
    """Tell whether the answer is 503 with the time to wait, in whatever form."""
    return bool(answer.status_code == 503 and answer.headers.get("Retry-After") == "1")


def server_of_django() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return "standby" if cursor.fetchone()[0] else "primary"


def test_writes_are_busy_at_a_standby_by_every_way_and_served_once_it_is_promoted(
    by_address: Pair, issue: Issue, open_pool: Callable[..., CreditPool], alice: User, root: User
) -> None:
    pool = open_pool()
    asset, spare = issue(), issue(pool=pool)
    api, page, console = caller(alice), visitor(alice), visitor(root)
    by_address.go()  # type: ignore[attr-defined]
    one, any_of_pool = f"/api/v1/assets/{asset.pk}/claim/", f"/api/v1/pools/{pool.pk}/claim/"
    key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "one-and-the-same-key"}

    assert readiness() == READ_ONLY
    for answer in (api.post(one), api.post(any_of_pool, **key), api.post(one, HTTP_IDEMPOTENCY_KEY="another-key-of-hers")):
        assert is_busy(answer)
        assert answer.json()["code"] == "busy"
    issued = {"title": "More", "total_value": "1.00", "currency": "INR"}
    assert is_busy(caller_with(console).post("/api/v1/assets/", issued, format="json"))
    assert is_busy(Client(raise_request_exception=False).post("/sign-in/", {"username": alice.email, "password": PASSWORD}))
    assert is_busy(page.post(f"/credits/{spare.pk}/claim/"))
    assert is_busy(console.post("/admin/assets/creditpool/add/", pool_form()))
    assert is_busy(console.post("/admin/logout/"))
    assert api.get("/api/v1/assets/").status_code == 200  # what is only read is read there

    by_address.promote()

    assert readiness() == READY
    assert api.post(one).status_code == 201
    assert api.post(any_of_pool, **key).status_code == 201
    assert Entry.objects.filter(user=alice).count() == 2


def caller_with(browser: Client) -> APIClient:
    """Return a caller of the API with the session of a browser."""
    client = APIClient(raise_request_exception=False)
    client.cookies = browser.cookies
    return client


def pool_form() -> dict[str, str]:
    return {"name": "Holi", "kind": "PROMOTION", "currency": "INR", "time_zone": "UTC", "is_active": "on", "_save": "Save"}


def test_a_session_that_cannot_be_saved_is_busy_and_not_taken_for_deleted(by_address: Pair, alice: User) -> None:
    browser = visitor(alice)
    by_address.go()  # type: ignore[attr-defined]
    session = browser.session
    session["seen"] = True

    with pytest.raises(OperationalError, match="read-only transaction"):
        session.save()


def test_a_write_that_met_a_standby_has_the_whole_pool_ask_again_where_the_primary_is(
    pooled_by_address: Pair, issue: Issue, alice: User
) -> None:
    asset, api = issue(), caller(alice)
    pooled_by_address.go()  # type: ignore[attr-defined]
    assert [server_of_each_session() for _ in range(6)] == ["standby"] * 6

    pooled_by_address.lead_to(pooled_by_address.primary)  # the sessions with the standby live on
    claimed = api.post(f"/api/v1/assets/{asset.pk}/claim/")

    assert claimed.status_code == 201
    assert {server_of_each_session() for _ in range(6)} == {"primary"}


def server_of_each_session() -> str:
    """Return where the next session of the pool is."""
    try:
        return server_of_django()
    finally:
        connection.close()


def test_asking_whether_it_is_ready_is_enough_to_find_the_primary(pooled_by_address: Pair, alice: User) -> None:
    pooled_by_address.go()  # type: ignore[attr-defined]
    assert server_of_each_session() == "standby"
    pooled_by_address.lead_to(pooled_by_address.primary)

    assert readiness() == READ_ONLY

    assert [readiness() for _ in range(6)] == [READY] * 6


def test_action_is_retried_with_a_new_session(by_address: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    by_address.go()  # type: ignore[attr-defined]
    sessions: list[Any] = []

    @atomic_with_retry(idempotent=False)
    def write() -> None:
        with connection.cursor() as cursor:
            sessions.append(connection.connection)
            cursor.execute("DELETE FROM accounts_user")

    with pytest.raises(Busy):
        write()

    assert len(set(map(id, sessions))) == len(sessions) == transactions.MAX_ATTEMPTS
    assert all(session.closed for session in sessions)


def test_concurrent_claims_at_a_standby_are_all_busy(
    by_address: Pair, issue: Issue, make_users: Callable[[int], list[User]]
) -> None:
    wanted = [(issue().pk, user) for user in make_users(6)]
    by_address.go()  # type: ignore[attr-defined]

    assert [type(outcome) for outcome in at_once(claimed, wanted)] == [Busy] * 6

    by_address.promote()
    assert at_once(claimed, wanted) == [201] * 6


def claimed(wanted: tuple[UUID, User]) -> int:
    return claim_asset(*wanted).status_code


@pytest.mark.parametrize("limit", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_session_that_the_server_ended_for_idling_is_an_operational_error(limit: str, db: None) -> None:
    if limit == "transaction_timeout" and connection.pg_version < 170_000:  # type: ignore[attr-defined]
        pytest.skip("PostgreSQL 17 brought it")

    with pytest.raises(OperationalError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL {limit} = 50")
        select.select([connection.connection.fileno()], [], [], 20)  # it says that it is over
        cursor.execute("SELECT 1")
