"""Pools whose credits are only granted: users neither see nor claim them; rules, services and operators grant."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import User
from accounts.services import Service
from kernel.transactions import violated_constraint
from tests.api.conftest import ROOT, Caller, _no_rates, as_ada, as_alice, by  # noqa: F401  (fixtures)
from tests.concurrency import at_once
from tests.money.conftest import shop  # noqa: F401  (a fixture)
from wallet.actions import edit_pool, edit_rule
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import BY_ASSET, FROM_POOL, Claim, run_claim_batch, run_single_claim
from wallet.actions.claim_decisions import ClaimRequest, PoolClosed
from wallet.actions.grant_batch import grant_many
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_dues import grant_due_credits
from wallet.actions.grant_lines import GrantLine
from wallet.assets.models import AssetNotFound, AssetStatus, CashbackAsset, CreditPool, PoolNotFound
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Grant
from wallet.queries.explain_claim import explain_pool_claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> CreditPool:
    """A pool of three credits that are only granted."""
    opened = open_pool(name="Rewards", grants_only=True)
    for _ in range(3):
        issue(pool=opened, title="Thank you")
    return opened


def one_of(pool: CreditPool) -> CashbackAsset:
    return CashbackAsset.objects.filter(pool=pool, status="AVAILABLE").order_by("pk")[0]


def request_of(user: User, pool: CreditPool) -> IdempotentRequest:
    return IdempotentRequest(user, "claim", uuid4().hex, fingerprint(pool.pk))


def nothing_happened() -> bool:
    return not Entry.objects.exists() and not CashbackAsset.objects.filter(status="CLAIMED").exists()


def test_users_see_neither_the_pool_nor_its_credits(
    pool: CreditPool,
    alice: User,
    as_alice: Caller,  # noqa: F811
    as_ada: Caller,  # noqa: F811
    client: Client,
) -> None:
    asset = one_of(pool)

    assert as_alice.get(f"{ROOT}/pools/").json()["results"] == []
    assert as_alice.get(f"{ROOT}/assets/").json()["results"] == []
    for path in (f"pools/{pool.pk}/", f"assets/{asset.pk}/", f"pools/{pool.pk}/explain/", f"assets/{asset.pk}/explain/"):
        assert as_alice.get(f"{ROOT}/{path}").status_code == 404
    landing = client.get("/").content.decode()
    client.force_login(alice)
    pages = [client.get(path).content.decode() for path in ("/offers/", "/offers/?q=thank", "/dashboard/")]
    for page in (landing, *pages):
        assert "Thank you" not in page
        assert "Rewards" not in page
    assert client.get(f"/pools/{pool.pk}/").status_code == 404

    shown = as_ada.get(f"{ROOT}/pools/{pool.pk}/").json()
    assert (shown["grants_only"], shown["can_claim"], shown["available"]) == (True, False, 3)
    assert len(as_ada.get(f"{ROOT}/assets/").json()["results"]) == 3


@pytest.mark.parametrize("path", ["pools/{pool}/claim/", "assets/{asset}/claim/"])
def test_a_claim_is_refused_as_in_a_hidden_pool(
    *,
    pool: CreditPool,
    open_pool: Callable[..., CreditPool],
    issue: Callable[..., CashbackAsset],
    as_alice: Caller,  # noqa: F811
    as_ada: Caller,  # noqa: F811
    path: str,
) -> None:
    hidden = open_pool(name="Hidden", is_active=False)
    issue(pool=hidden)

    for caller, status in ((as_alice, 404), (as_ada, 409)):
        bodies = []
        for target in (pool, hidden):
            address = f"{ROOT}/{path.format(pool=target.pk, asset=one_of(target).pk)}"
            answer = caller.post(address, {}, headers={"Idempotency-Key": uuid4().hex})
            bodies.append({name: value for name, value in answer.json().items() if name not in ("instance", "request_id")})
            assert answer.status_code == status, answer.content
        assert bodies[0] == bodies[1]
    assert nothing_happened()


def test_claims_are_refused_alone_and_in_a_batch_and_others_of_the_batch_succeed(
    pool: CreditPool, issue: Callable[..., CashbackAsset], alice: User, bob: User, ada: User
) -> None:
    asset, free = one_of(pool), issue(title="Free")

    for user, by_id, by_pool in ((alice, AssetNotFound, PoolNotFound), (ada, PoolClosed, PoolClosed)):
        with pytest.raises(by_id):
            run_single_claim(BY_ASSET, ClaimRequest(asset.pk, user))
        with pytest.raises(by_pool):
            run_single_claim(FROM_POOL, ClaimRequest(pool.pk, user, request_of(user, pool)))
    assert nothing_happened()
    batch = [ClaimRequest(asset.pk, alice), ClaimRequest(asset.pk, ada), ClaimRequest(free.pk, bob)]
    outcomes = run_claim_batch(BY_ASSET, batch)

    assert [type(outcome) for outcome in outcomes] == [AssetNotFound, PoolClosed, Claim]
    assert [entry.asset for entry in Entry.objects.all()] == [free]


def test_rules_services_operators_and_lists_grant_from_it(
    *,
    pool: CreditPool,
    issue: Callable[..., CashbackAsset],
    alice: User,
    bob: User,
    ada: User,
    shop: Service,  # noqa: F811
) -> None:
    issue(pool=pool)
    edit_rule.open_rule(ada, name="Welcome", pool=pool, event="REGISTERED")
    grant_credit(alice, pool.pk, reference="a", reason="goodwill", actor=ada)
    grant_credit(alice, pool.pk, reference="b", reason="goodwill", service=shop)
    grant_many(pool.pk, [GrantLine(str(bob.pk), "c")], reason="anniversary", actor=ada)
    User.objects.create_user("carol@example.com", "x")
    assert grant_due_credits() == 1

    assert Entry.objects.count() == Grant.objects.count() == 4


def test_the_owner_of_a_granted_credit_sees_it(
    pool: CreditPool,
    alice: User,
    ada: User,
    as_alice: Caller,  # noqa: F811
    client: Client,
) -> None:
    receipt = grant_credit(alice, pool.pk, reference="a", reason="goodwill", actor=ada).body
    owned = Entry.objects.get(pk=receipt["id"]).asset_id
    client.force_login(alice)

    assert as_alice.get(f"{ROOT}/assets/{owned}/").status_code == 200
    assert [asset["id"] for asset in as_alice.get(f"{ROOT}/assets/").json()["results"]] == [str(owned)]
    assert client.get(f"/claims/{receipt['id']}/").status_code == 200
    assert "Thank you" in client.get("/claims/").content.decode()
    assert claim_asset(owned, alice).status_code == 200  # their own claim, again


@pytest.mark.parametrize("status", ["AVAILABLE", "EXPIRED"])
def test_opened_to_claims_it_is_on_offer(pool: CreditPool, alice: User, ada: User, status: str) -> None:
    asset = one_of(pool)
    edit_pool.update_pool(pool.pk, ada, grants_only=False)

    assert CashbackAsset.objects.visible_to(alice).filter(pk=asset.pk).exists()
    if status == AssetStatus.AVAILABLE:
        assert claim_asset(asset.pk, alice).status_code == 201


def test_postgresql_refuses_a_claim_without_its_grant(pool: CreditPool, alice: User) -> None:
    asset = one_of(pool)
    claim = (
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %(user)s WHERE id = %(asset)s;"
        "INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id)"
        " SELECT gen_random_uuid(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id"
        " FROM assets_cashbackasset WHERE id = %(asset)s"
    )

    with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(claim, {"user": alice.pk, "asset": asset.pk})

    assert violated_constraint(refused.value) == "pool_grants_only"
    assert nothing_happened()


def test_claims_while_the_pool_is_closed_to_them_are_made_before_or_refused(
    pool: CreditPool, issue: Callable[..., CashbackAsset], make_users: Callable[[int], list[User]], ada: User
) -> None:
    edit_pool.update_pool(pool.pk, ada, grants_only=False)
    for _ in range(20):
        issue(pool=pool)
    assets = list(CashbackAsset.objects.filter(pool=pool)[:12])
    users = make_users(12)

    def act(number: int) -> Any:
        if number == 6:
            return edit_pool.update_pool(pool.pk, ada, grants_only=True)
        return claim_asset(assets[number].pk, users[number])

    outcomes = at_once(act, range(12))

    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {type(outcome) for outcome in refused} <= {AssetNotFound}
    assert Entry.objects.count() == 11 - len(refused)


def test_operators_are_told_why_nobody_can_claim(pool: CreditPool, alice: User, ada: User) -> None:
    for user, code in ((alice, "not_found"), (ada, "pool_closed")):
        explained = explain_pool_claim(pool, user)
        rules = {rule["rule"]: (rule["allows"], rule["refusal"]) for rule in explained["rules"]}

        assert (explained["can_claim"], explained["refusal"]) == (False, code)
        assert rules["open_to_claims"] == (False, code)


def test_an_operator_sets_it_by_api_and_in_the_demo_data(as_ada: Caller, as_alice: Caller) -> None:  # noqa: F811
    body = {"name": "Given", "kind": "REFERRAL", "currency": "INR", "grants_only": True}
    made = as_ada.post(f"{ROOT}/pools/", body).json()
    changed = as_ada.patch(f"{ROOT}/pools/{made['id']}/", {"grants_only": False}).json()

    assert (made["grants_only"], changed["grants_only"]) == (True, False)
    assert "grants_only" not in as_alice.get(f"{ROOT}/pools/{made['id']}/").json()
    call_command("seed", verbosity=0)
    granting = CreditPool.objects.filter(rules__isnull=False)
    assert set(granting.values_list("name", "grants_only")) == {("Welcome bonus", True), ("Friend rewards", True)}
