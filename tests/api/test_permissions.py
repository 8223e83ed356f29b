"""Status of every API route and method by role. A route without a row in the table fails."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import TokenFamily, User
from accounts.services import Service
from accounts.tokens import issue_pair
from tests.api.addresses import METHODS, addresses, routes
from tests.api.conftest import ROOT, Caller
from tests.approvals.conftest import waiting_proposal
from tests.conftest import PASSWORD
from wallet.actions.claim import claim_asset
from wallet.actions.pay import pay
from wallet.assets.models import CashbackAsset, CreditPool

# {id} is a pool with credits, a credit that the user claimed, or that claim; below me/ a sign-in of the user.
#                                      anonymous  user  other user  admin  superuser
TABLE = {
    ("GET", ""): (200, 200, 200, 200, 200),
    ("GET", "assets/"): (401, 200, 200, 200, 200),
    ("POST", "assets/"): (401, 403, 403, 201, 201),
    ("GET", "assets/{id}/"): (401, 200, 404, 200, 200),
    ("PATCH", "assets/{id}/"): (401, 403, 403, 409, 409),
    ("DELETE", "assets/{id}/"): (401, 403, 403, 409, 409),
    ("POST", "assets/{id}/claim/"): (401, 200, 409, 409, 409),
    ("POST", "assets/{id}/expire/"): (401, 403, 403, 409, 409),
    ("POST", "assets/{id}/recreate/"): (401, 403, 403, 409, 409),
    ("GET", "batches/"): (401, 403, 403, 200, 200),
    ("GET", "batches/{id}/"): (401, 403, 403, 200, 200),
    ("GET", "assets/{id}/explain/"): (401, 200, 404, 200, 200),
    ("GET", "claims/"): (401, 200, 200, 200, 200),
    ("GET", "claims/{id}/"): (401, 200, 404, 200, 200),
    ("GET", "claims/{id}/proof/"): (401, 409, 404, 409, 409),
    ("POST", "claims/{id}/clawback/"): (401, 403, 403, 200, 200),
    ("POST", "claims/{id}/extend/"): (401, 403, 403, 409, 409),
    ("POST", "events/"): (401, 403, 403, 403, 403),
    ("POST", "grants/"): (401, 403, 403, 201, 200),
    ("POST", "grants/batch/"): (401, 403, 403, 200, 200),
    ("GET", "feed/"): (401, 403, 403, 200, 200),
    ("GET", "webhooks/"): (401, 403, 403, 403, 403),
    ("POST", "webhooks/"): (401, 403, 403, 403, 403),
    ("DELETE", "webhooks/{id}/"): (401, 403, 403, 403, 403),
    ("POST", "webhooks/{id}/test/"): (401, 403, 403, 403, 403),
    ("GET", "payments/"): (401, 200, 200, 200, 200),
    ("POST", "payments/"): (401, 201, 409, 409, 409),
    ("POST", "payments/quote/"): (401, 200, 200, 200, 200),
    ("GET", "payments/{id}/"): (401, 200, 404, 200, 200),
    ("GET", "payments/{id}/proof/"): (401, 409, 404, 409, 409),
    ("GET", "payments/{id}/explain/"): (401, 200, 404, 200, 200),
    ("POST", "payments/{id}/capture/"): (401, 403, 403, 403, 403),
    ("POST", "payments/{id}/release/"): (401, 201, 404, 200, 200),
    ("POST", "payments/{id}/refund/"): (401, 403, 403, 409, 409),
    ("GET", "pools/"): (401, 200, 200, 200, 200),
    ("POST", "pools/"): (401, 403, 403, 201, 201),
    ("GET", "pools/{id}/"): (401, 200, 200, 200, 200),
    ("PATCH", "pools/{id}/"): (401, 403, 403, 200, 200),
    ("POST", "pools/{id}/claim/"): (401, 201, 201, 201, 201),
    ("POST", "pools/{id}/issue/"): (401, 403, 403, 201, 201),
    ("POST", "pools/{id}/archive/"): (401, 403, 403, 200, 200),
    ("POST", "pools/{id}/unarchive/"): (401, 403, 403, 200, 200),
    ("POST", "pools/{id}/duplicate/"): (401, 403, 403, 201, 201),
    ("GET", "referral/"): (401, 200, 200, 200, 200),
    ("GET", "referral/friends/"): (401, 200, 200, 200, 200),
    ("GET", "pools/{id}/explain/"): (401, 200, 200, 200, 200),
    ("GET", "proposals/"): (401, 403, 403, 200, 200),
    ("GET", "proposals/{id}/"): (401, 403, 403, 200, 200),
    # A service proposed it; after the admin's decision the superuser's comes too late.
    ("POST", "proposals/{id}/approve/"): (401, 403, 403, 200, 409),
    ("POST", "proposals/{id}/refuse/"): (401, 403, 403, 200, 409),
    ("GET", "wallet/"): (401, 200, 200, 200, 200),
    ("GET", "wallet/lots/"): (401, 200, 200, 200, 200),
    ("GET", "wallet/history/"): (401, 200, 200, 200, 200),
    ("GET", "reports/ownership/"): (401, 403, 403, 200, 200),
    ("GET", "reports/summary/"): (401, 403, 403, 200, 200),
    ("GET", "reports/trial-balance/"): (401, 403, 403, 200, 200),
    ("GET", "reports/liability/"): (401, 403, 403, 200, 200),
    ("GET", "reports/breakage/"): (401, 403, 403, 200, 200),
    ("GET", "reports/settlement/"): (401, 403, 403, 200, 200),
    ("GET", "reports/journal/"): (401, 403, 403, 200, 200),
    ("POST", "auth/register/"): (201, 201, 201, 201, 201),
    ("POST", "auth/token/"): (200, 200, 200, 200, 200),
    ("POST", "auth/token/refresh/"): (401, 200, 200, 200, 200),
    ("POST", "auth/logout/"): (401, 204, 204, 204, 204),
    ("GET", "auth/me/"): (401, 200, 200, 200, 200),
    ("POST", "auth/password/"): (401, 204, 204, 204, 204),
    ("POST", "auth/password/forgotten/"): (202, 202, 202, 202, 202),
    ("POST", "auth/password/reset/"): (400, 400, 400, 400, 400),
    ("POST", "auth/email/verify/"): (400, 400, 400, 400, 400),
    ("GET", "me/data/"): (401, 200, 200, 200, 200),
    ("GET", "me/notices/"): (401, 200, 200, 200, 200),
    ("PATCH", "me/notices/"): (401, 200, 200, 200, 200),
    ("GET", "me/sessions/"): (401, 200, 200, 200, 200),
    ("DELETE", "me/sessions/{id}/"): (401, 204, 404, 404, 404),
    ("POST", "me/sessions/end-others/"): (401, 204, 204, 204, 204),
    ("POST", "me/email/"): (401, 202, 202, 202, 202),
    ("POST", "me/email/resend/"): (401, 202, 202, 202, 202),
    ("POST", "me/close/"): (401, 204, 204, 204, 409),  # the superuser is then the only ADMIN
    ("GET", "schema/"): (200, 200, 200, 200, 200),
    ("GET", "docs/"): (200, 200, 200, 200, 200),
}
# Bodies that are right, so that only the caller decides.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "assets/"): {"title": "Bonus", "total_value": "1.00", "currency": "INR"},
    ("PATCH", "assets/{id}/"): {"title": "Bonus"},
    ("PATCH", "pools/{id}/"): {"per_user_limit": 5},
    ("POST", "pools/{id}/issue/"): {"count": 2, "title": "Bonus", "total_value": "1.00"},
    ("POST", "claims/{id}/clawback/"): {"reason": "mistake", "preview": True},
    ("POST", "claims/{id}/extend/"): {"reason": "goodwill", "until": "2099-01-01T00:00:00Z"},
    ("POST", "proposals/{id}/refuse/"): {"reason": "too much"},
    ("POST", "payments/quote/"): {"currency": "INR", "amount": "1.00"},
    ("POST", "payments/{id}/refund/"): {"reference": "return-1", "reason": "returned"},
    ("POST", "auth/token/"): {"email": "alice@example.com", "password": PASSWORD},
    ("POST", "auth/password/forgotten/"): {"email": "alice@example.com"},
    ("POST", "auth/password/reset/"): {"token": "none", "new_password": "a quite different one"},
    ("POST", "auth/email/verify/"): {"token": "none"},
    ("POST", "me/sessions/end-others/"): {"current_password": PASSWORD},
    ("POST", "me/email/"): {"email": "new@example.com", "current_password": PASSWORD},
    ("POST", "me/close/"): {"current_password": PASSWORD},
    ("POST", "auth/password/"): {"current_password": PASSWORD, "new_password": "a quite different one"},
}


@pytest.fixture
def everybody(alice: User, bob: User, ada: User, root: User) -> list[User | None]:
    return [None, alice, bob, ada, root]


@pytest.fixture
def ids(issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], alice: User) -> dict[str, str]:
    """Return what {id} stands for below each list."""
    pool, asset, shop = open_pool(), issue(), Service.objects.create(name="Shop")
    for _ in range(5):
        issue(pool=pool)
    issue_pair(alice)
    return {
        "pools": str(pool.pk),
        "assets": str(asset.pk),
        "batches": str(asset.batch_id),
        "claims": claim_asset(asset.pk, alice).receipt["id"],
        "payments": pay(alice, shop, currency="INR", amount=Decimal(1), reference="order-1", capture=False).body["id"],
        "services": str(shop.pk),
        "webhooks": str(shop.pk),
        "me": str(TokenFamily.objects.get().pk),
        "proposals": str(waiting_proposal(open_pool, alice).pk),
    }


def send(user: User | None, method: str, path: str, ids: dict[str, str]) -> Any:
    """Send one request as `user`, with a body and a key that are right."""
    caller, pair = Caller(), user and issue_pair(user)
    if pair:
        caller.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    body = BODIES.get((method, path), {})
    if path in ("auth/token/refresh/", "auth/logout/"):
        body = {"refresh": pair.refresh if pair else "none"}
    elif path == "auth/register/":
        body = {"email": f"{uuid4().hex}@example.com", "password": "a quite different one"}
    elif (method, path) == ("POST", "pools/"):
        body = {"name": uuid4().hex, "kind": "SIGNUP", "currency": "INR"}
    elif (method, path) == ("POST", "payments/"):
        order = {"service": ids["services"], "reference": uuid4().hex, "capture": False}
        body = BODIES["POST", "payments/quote/"] | order
    elif path == "grants/":
        body = {"user": "bob@example.com", "pool": ids["pools"], "reference": "ticket-1", "reason": "goodwill"}
    elif path == "grants/batch/":
        lines = [{"user": "bob@example.com", "reference": "ticket-1"}]
        body = {"pool": ids["pools"], "reason": "goodwill", "lines": lines}
    elif path == "pools/{id}/duplicate/":
        body = {"name": uuid4().hex}
    url = f"{ROOT}/{path.format(id=ids.get(path.split('/', maxsplit=1)[0]))}"
    headers = {"Idempotency-Key": uuid4().hex} if path.startswith("pools/{id}/") else {}
    return getattr(caller, method.lower())(url, None if method == "GET" else body, headers=headers)


def test_every_route_has_a_row_in_the_table() -> None:
    assert set(TABLE) == routes()


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_each_caller_gets_the_expected_status(
    method: str, path: str, everybody: list[User | None], ids: dict[str, str]
) -> None:
    answers = [send(user, method, path, ids) for user in everybody]

    assert tuple(answer.status_code for answer in answers) == TABLE[method, path], [answer.content for answer in answers]
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code


def test_unsupported_method_is_405_for_every_signed_in_caller(everybody: list[User | None], ids: dict[str, str]) -> None:
    for path in (path.removeprefix(f"{ROOT}/") for path in addresses()):
        for method in {method.upper() for method in METHODS} - {method for method, known in TABLE if known == path}:
            statuses = [send(user, method, path, ids).status_code for user in everybody]
            assert statuses[0] in (401, 405), (method, path)
            assert statuses[1:] == [405] * 4, (method, path)


def test_anonymous_callers_can_only_register_sign_in_ask_for_a_password_and_read_the_root_and_the_schema() -> None:
    open_to_all = {path for (_, path), statuses in TABLE.items() if statuses[0] < 400}

    assert open_to_all == {"", "auth/register/", "auth/token/", "auth/password/forgotten/", "schema/", "docs/"}


def test_action_without_a_declared_permission_is_denied(
    anonymous: Caller, as_ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wallet.api.wallet.WalletViewSet.permissions", {})

    assert [caller.get(f"{ROOT}/wallet/").status_code for caller in (anonymous, as_ada)] == [401, 403]
