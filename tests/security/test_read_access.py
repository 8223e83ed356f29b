"""A signed-in user reads only their own data, whatever the filters."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.serializers import BaseSerializer, ModelSerializer

from accounts.models import User
from kernel.strict_serializers import StrictSerializer
from tests.api.conftest import ROOT
from tests.security.addresses import addresses
from tests.security.conftest import as_caller
from wallet.actions.claim import claim_asset
from wallet.api.request_serializers import CheckedBody
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

Browser = Callable[..., Client]
Issue = Callable[..., CashbackAsset]
pytestmark = pytest.mark.usefixtures("unlimited")
LISTS = ["assets/", "pools/", "claims/", "reports/ownership/", "reports/summary/", "wallet/"]
# Django's lookups, through relations to what nobody shows.
LOOKUPS = [
    "claimed_by__password__startswith",
    "user__password__startswith",
    "claimed_by__email__startswith",
    "pool__name",
    "id__in",
    "created_by",
    "pk",
    "password",
]


# --- Others' things ----------------------------------------------------------------------------------------------------


def test_user_finds_no_claims_of_others(alice: User, bob: User, issue: Issue) -> None:
    asset = issue(title="Alices")
    entry = claim_asset(asset.pk, alice).receipt["id"]
    bobs = as_caller(bob)

    for path in (f"assets/{asset.pk}/", f"claims/{entry}/", f"claims/{entry}/proof/"):
        assert bobs.get(f"{ROOT}/{path}").status_code == 404, path
    assert bobs.get(f"{ROOT}/claims/?user={alice.pk}").status_code == 400
    for path in (
        "assets/?search=Alices",
        "assets/?status=CLAIMED",
        "assets/?mine=true",
        "assets/?mine=false",
        f"claims/?asset={asset.pk}",
    ):
        assert bobs.get(f"{ROOT}/{path}").json()["results"] == [], path
    assert bobs.get(f"{ROOT}/wallet/").json() == {"balances": []}


def test_a_cursor_lent_by_another_shows_nothing_of_theirs(alice: User, bob: User, issue: Issue) -> None:
    for _ in range(3):
        claim_asset(issue().pk, alice)
    lent = as_caller(alice).get(f"{ROOT}/claims/?page_size=1").json()["next"]

    answer = as_caller(bob).get(lent)

    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_a_key_lent_by_another_answers_nothing_of_theirs(alice: User, bob: User, issue: Issue) -> None:
    asset, key = issue(), {"Idempotency-Key": "0123456789abcdef"}
    as_caller(alice).post(f"{ROOT}/assets/{asset.pk}/claim/", {}, headers=key)

    answer = as_caller(bob).post(f"{ROOT}/assets/{asset.pk}/claim/", {}, headers=key)

    assert (answer.status_code, answer.json()["code"]) == (409, "asset_already_claimed")
    assert "Idempotency-Replayed" not in answer.headers


def test_the_pages_show_nothing_of_anothers(browser_of: Browser, alice: User, bob: User, issue: Issue) -> None:
    asset = issue(title="Alices own credit", total_value=Decimal("77.77"))
    entry = claim_asset(asset.pk, alice).receipt["id"]

    for address in ("/", "/dashboard/", "/claims/", "/dashboard/?q=Alices"):
        page = browser_of(bob).get(address).content.decode()
        for secret in ("Alices own credit", "77.77", entry, "alice@example.com", str(alice.pk)):
            assert secret not in page, (address, secret)


def test_a_user_reads_no_owner_and_no_hint_of_one(alice: User, bob: User, issue: Issue) -> None:
    issue()
    claim_asset(issue().pk, alice)

    for caller in (as_caller(alice), as_caller(bob)):
        for line in caller.get(f"{ROOT}/assets/").json()["results"]:
            assert not {"claimed_by", "claimed_at", "created_by", "claim_slot"} & set(line)


# --- Filters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
def test_no_list_of_the_api_takes_a_lookup_of_the_callers(ada: User, path: str) -> None:
    adas = as_caller(ada)

    for lookup in LOOKUPS:
        answer = adas.get(f"{ROOT}/{path}", {lookup: "a"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, lookup)


@pytest.mark.parametrize("path", ["assets/", "pools/", "claims/", "reports/ownership/"])
def test_api_lists_cannot_be_ordered_by_hidden_fields(ada: User, path: str) -> None:
    adas = as_caller(ada)

    for order in ("claimed_by__password", "-user__password", "password", "?", "1", "id;", "pk"):
        answer = adas.get(f"{ROOT}/{path}", {"ordering": order})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "ordering"), order


@pytest.mark.parametrize(
    ("room", "lookup"),
    [
        ("assets_cashbackasset", "claimed_by__password__startswith"),
        ("assets_cashbackasset", "created_by__password__startswith"),
        ("assets_creditpool", "assets__claimed_by__password__startswith"),
        ("ledger_entry", "user__password__startswith"),
        ("ledger_entry", "actor__password__regex"),
        ("ledger_claimedasset", "claimed_by__password__startswith"),
        ("ledger_claimedasset", "claimed_by__token_families__refresh_hash"),
    ],
)
def test_no_list_of_the_console_shows_passwords(
    *, browser_of: Browser, ada: User, alice: User, issue: Issue, room: str, lookup: str
) -> None:
    claim_asset(issue().pk, alice)

    for value in ("md5", "zzz"):
        answer = browser_of(ada).get(reverse(f"admin:{room}_changelist"), {lookup: value})
        assert (answer.status_code, answer.headers.get("Location")) in (
            (400, None),
            (302, f"{answer.request['PATH_INFO']}?e=1"),
        )


def test_no_export_of_the_console_contains_passwords(browser_of: Browser, ada: User, ids: dict[str, str]) -> None:
    """What guesses right and what guesses wrong get the same: a refusal, or the file as it is without the guess."""
    adas = browser_of(ada)
    files = [address for address in addresses(ids) if "/export/" in address]

    assert files
    for address in files:
        for lookup in ("claimed_by__password__startswith", "user__password__startswith"):
            answers = [adas.get(address, {lookup: guess}) for guess in ("md5", "zzz")]
            told = [answer.getvalue() if answer.status_code == 200 else answer.status_code for answer in answers]
            assert told[0] == told[1], (address, lookup)


def test_operator_cannot_look_up_users_in_the_console(browser_of: Browser, ada: User, alice: User) -> None:
    query = {"app_label": "assets", "model_name": "cashbackasset", "field_name": "claimed_by", "term": "alice"}

    answer = browser_of(ada).get(reverse("admin:autocomplete"), query)

    assert answer.status_code == 403


# --- Bodies ------------------------------------------------------------------------------------------------------------


def shapes(kind: type[BaseSerializer]) -> list[type[BaseSerializer]]:  # type: ignore[type-arg]
    return [found for child in kind.__subclasses__() for found in (child, *shapes(child))]


def strict_shapes() -> list[Any]:
    return [kind for kind in shapes(StrictSerializer) if kind.__module__.startswith(("accounts", "wallet"))]


def test_every_shape_of_ours_names_its_fields() -> None:
    ours = [kind for kind in shapes(ModelSerializer) if kind.__module__.startswith(("accounts", "wallet"))]

    assert ours
    for kind in ours:
        assert isinstance(kind.Meta.fields, tuple), kind  # type: ignore[attr-defined]


BODIES = [
    ("post", "auth/register/"),
    ("post", "auth/token/"),
    ("post", "auth/token/refresh/"),
    ("post", "auth/logout/"),
    ("post", "auth/password/"),
    ("post", "assets/"),
    ("patch", "assets/{asset}/"),
    ("post", "assets/{asset}/claim/"),
    ("post", "assets/{asset}/expire/"),
    ("post", "assets/{asset}/recreate/"),
    ("post", "pools/"),
    ("patch", "pools/{pool}/"),
    ("post", "pools/{pool}/issue/"),
    ("post", "pools/{pool}/claim/"),
]
# The user whose wallet pays or is given a credit, where a service or an ADMIN names them.
NAMING_USERS = ("QuoteBody", "PaymentBody", "GrantBody", "GrantLineBody", "EventBody", "WalletQuery", "ExplainQuery")
OWN = {name: {"user"} for name in NAMING_USERS}
FORBIDDEN = ("role", "is_superuser", "claimed_by", "user", "actor", "status", "id", "claimed_at", "generation", "created_by")


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_no_body_takes_a_field_that_is_not_its_own(
    ada: User, issue: Issue, open_pool: Callable[..., CreditPool], method: str, path: str
) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    caller, people = as_caller(ada), User.objects.count()

    answer = getattr(caller, method)(
        f"{ROOT}/{path.format(asset=asset.pk, pool=pool.pk)}",
        dict.fromkeys(FORBIDDEN, "x"),
        headers={"Idempotency-Key": "0123456789abcdef"},
    )

    unknown = {error["field"] for error in answer.json()["errors"] if error["code"] == "unknown"}
    assert (answer.status_code, unknown) == (400, set(FORBIDDEN))
    assert (Entry.objects.count(), CashbackAsset.objects.count(), User.objects.count()) == (0, 1, people)


def test_those_are_all_the_bodies_there_are() -> None:
    assert {kind.__name__ for kind in strict_shapes()} == {
        *("RegistrationSerializer", "CredentialsSerializer", "RefreshSerializer", "PasswordChangeSerializer"),
        *("ForgottenPasswordSerializer", "PasswordResetSerializer", "LinkSerializer"),
        *("ConfirmedSerializer", "CloseSerializer", "EmailChangeSerializer"),
        *("EmptyBody", "CheckedBody", "PoolBody", "IssueBody", "AssetBody", "RecreateBody", "DuplicateBody"),
        *("QuoteBody", "PaymentBody", "CaptureBody", "RefundBody", "GrantBody", "ClawbackBody", "ExtendBody", "EventBody"),
        *("GrantBatchBody", "GrantLineBody"),
        *("SummaryQuery", "AsOfQuery", "JournalQuery", "WalletQuery", "HistoryQuery", "FeedQuery", "WebhookBody"),
        "ExplainQuery",
        *("ApproveBody", "RefuseBody", "NoticePreferencesChangeSerializer"),
    }


@pytest.mark.parametrize(
    "kind", [kind for kind in strict_shapes() if kind is not CheckedBody], ids=lambda kind: str(kind.__name__)
)
def test_no_shape_takes_a_field_that_is_not_its_own(db: None, kind: type[BaseSerializer]) -> None:  # type: ignore[type-arg]
    body: Any = kind(data=dict.fromkeys(FORBIDDEN, "x"))

    assert not body.is_valid()
    unknown = {field for field, errors in body.errors.items() if {error.code for error in errors} == {"unknown"}}
    assert unknown == set(FORBIDDEN) - OWN.get(kind.__name__, set())


def test_a_form_cannot_raise_its_sender(browser_of: Browser, alice: User) -> None:
    powers = {"role": "ADMIN", "is_superuser": "on", "is_staff": "on", "is_active": "on"}

    browser_of().post("/register/", {"email": "carol@example.com", "password": "correct horse battery"} | powers)
    browser_of(alice).post("/password/", {"current_password": "x", "new_password": "y"} | powers)

    assert {(user.role, user.is_superuser) for user in User.objects.all()} == {("USER", False)}
    assert User.objects.count() == 2
