"""One answer tells the errors of all fields, each by name and in words; no constraint of the database is named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts import constraint_words as user_words
from accounts.models import User
from kernel.constraint_words import violation_error, violations_in_words
from tests.api.conftest import ROOT, Caller
from wallet.actions import edit_asset, edit_pool, issue_assets
from wallet.assets import constraint_words
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
# What nobody can violate by what they enter: keys of their own, what triggers and actions alone write, and what is refused with
# a code of its own (asset_not_due and asset_final: asset_not_available).
NOT_ENTERED = {
    "approval_required",  # becomes a proposal (wallet.actions.approvals)
    "accounts_user_pkey",
    "assets_creditpool_service_id",  # services are chosen from a list and never deleted
    "asset_spendable_for_a_while",  # the claim trigger sets both times, and refuses the claim instead
    "user_closed_is_pseudonymous",
    "assets_creditpool_pkey",
    "assets_cashbackasset_pkey",
    "assets_cashbackasset_pool_id",  # pools are chosen from a list and never deleted
    "assets_cashbackasset_claimed_by_id",
    "assets_cashbackasset_created_by_id",
    "assets_cashbackasset_recreated_from_id",
    "assets_cashbackasset_claim_slot_check",
    "assets_cashbackasset_generation_check",
    "asset_status_known",
    "asset_owner_iff_claimed",
    "pool_period_limit",  # of a claim
    # The start of a credit is set by its issue, which checks it, and never changes.
    *("asset_scheduled_for_a_time", "asset_scheduled", "asset_not_early", "asset_starts_before_expiry"),
    "asset_claimed_before_expiry",
    "asset_generation_counts",
    "asset_claim_slot",
    "asset_claimed_has_entry",
    "asset_final",
    "asset_not_due",
    "asset_born_available",
    "asset_keep_claimed",
    "asset_same",
    "asset_claim_only",
    "pool_open",
    "pool_claim_limit",
}


def constraint_names() -> set[str]:
    """Return the names of all constraints and trigger rules of users, pools and credits; foreign keys by their column."""
    tables = ["accounts_user", "assets_creditpool", "assets_cashbackasset"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = ANY(%s::regclass[]) AND contype NOT IN ('n', 't')"
            " UNION SELECT found[1] FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid,"
            " regexp_matches(prosrc, 'CONSTRAINT = ''([a-z_]+)''', 'g') AS found WHERE tgrelid = ANY(%s::regclass[])"
            " AND prosrc NOT LIKE '%%append-only%%' AND prosrc NOT LIKE '%%keeps its ledger%%'"
            # A unique index of an expression is no constraint in PostgreSQL's catalogue.
            " UNION SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indisunique AND indexprs IS NOT NULL AND indrelid = ANY(%s::regclass[])",
            [tables, tables, tables],
        )
        names = {name for (name,) in cursor.fetchall()}
    return {name.partition("_id_")[0] + "_id" if "_fk_" in name else name for name in names}


def test_every_constraint_that_a_form_or_body_can_violate_has_words(db: None) -> None:
    worded = {*constraint_words.WORDS, *user_words.WORDS}

    assert {name for name in constraint_names() if not name.startswith("ledger_")} - NOT_ENTERED == worded & constraint_names()
    assert worded - constraint_names() == set()


@pytest.mark.parametrize("name", sorted(constraint_words.WORDS))
def test_the_words_of_a_constraint_are_about_one_of_its_fields_and_do_not_name_it(name: str) -> None:
    error = violation_error(constraint_words.WORDS, name)

    ((field, (sentence,)),) = error.message_dict.items()
    assert field in {*edit_asset.EDITABLE_FIELDS, *edit_pool.EDITABLE_FIELDS}
    assert sentence.endswith(".")
    assert "_" not in sentence


def test_a_violation_in_the_database_is_told_in_the_same_words(db: None, open_pool: OpenPool) -> None:
    pool = open_pool()

    with pytest.raises(ValidationError, match="must close after it opens"), violations_in_words(constraint_words.WORDS):
        CreditPool.objects.filter(pk=pool.pk).update(closes_at=pool.opens_at)


BODIES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("auth/register/", {"email": "carol", "password": "short", "role": "ADMIN"}, {"email", "password", "role"}),
    ("auth/register/", {"email": "carol@localhost@x", "password": "73519028465"}, {"email", "password"}),
    ("auth/register/", {"password": "short"}, {"email", "password"}),
    ("auth/password/", {"new_password": "short"}, {"current_password", "new_password"}),
    ("auth/password/", {"current_password": "wrong", "new_password": "short"}, {"current_password", "new_password"}),
    (
        "assets/",
        {"title": "", "total_value": "1.234", "currency": "INR", "expires_at": "2001-01-01", "colour": "red"},
        {"title", "total_value", "expires_at", "colour"},
    ),
    (
        "assets/",
        {"title": "Tea", "total_value": "0", "currency": "INR", "expires_at": "2001-01-01"},
        {"total_value", "expires_at"},
    ),
    (
        "assets/",
        {"title": "Tea", "total_value": 1.5, "currency": "rupees", "expires_at": "2001-01-01"},
        {"total_value", "currency", "expires_at"},
    ),
    (
        "pools/",
        {"name": "", "kind": "GIFT", "currency": "XXX", "per_user_limit": 0, "closes_at": "2001-01-01T00:00:00Z"},
        {"name", "kind", "currency", "per_user_limit", "closes_at"},
    ),
    (
        "pools/",
        {"name": "Taken", "kind": "SIGNUP", "currency": "INR", "closes_at": "2001-01-01T00:00:00Z"},
        {"name", "closes_at"},
    ),
]


@pytest.mark.parametrize(("path", "body", "fields"), BODIES)
def test_the_errors_of_all_fields_are_told_at_once(
    as_ada: Caller, open_pool: OpenPool, path: str, body: dict[str, Any], fields: set[str]
) -> None:
    open_pool(name="Taken")
    before = User.objects.count(), CashbackAsset.objects.count(), CreditPool.objects.count()

    answer = as_ada.post(f"{ROOT}/{path}", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert {error["field"] for error in answer.json()["errors"]} == fields
    assert (User.objects.count(), CashbackAsset.objects.count(), CreditPool.objects.count()) == before


def test_the_errors_of_an_issue_are_told_at_once(as_ada: Caller, open_pool: OpenPool) -> None:
    body = {"count": 0, "title": "", "total_value": "x", "expires_at": "2001-01-01"}

    answer = as_ada.post(f"{ROOT}/pools/{open_pool().pk}/issue/", body, headers={"Idempotency-Key": "0123456789abcdef"})

    assert {error["field"] for error in answer.json()["errors"]} == {"count", "title", "total_value", "expires_at"}


SOON, LATER = timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=9)


def test_a_credit_that_ends_before_its_pool_opens_is_refused_at_every_call(
    as_ada: Caller, ada: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(opens_at=LATER)
    loose, inside = issue(expires_at=SOON), issue(pool=pool, expires_at=LATER + timedelta(days=1))
    soon = SOON.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = list(CashbackAsset.objects.order_by("pk").values())
    fields = {"title": "Tea", "total_value": "1", "expires_at": soon}
    key = {"Idempotency-Key": "0123456789abcdef"}

    answers = [
        as_ada.post(f"{ROOT}/assets/", fields | {"pool": str(pool.pk)}),
        as_ada.post(f"{ROOT}/pools/{pool.pk}/issue/", fields | {"count": 2}, headers=key),
        as_ada.patch(f"{ROOT}/assets/{loose.pk}/", {"pool": str(pool.pk)}),
        as_ada.patch(f"{ROOT}/assets/{inside.pk}/", {"expires_at": soon}),
    ]

    for answer in answers:
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("expires_at", "before_opening")
        assert "would end before its pool opens" in error["detail"]
    assert list(CashbackAsset.objects.order_by("pk").values()) == before


def test_a_pool_does_not_open_after_the_end_of_its_credits(
    as_ada: Caller, ada: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    issue(pool=pool, expires_at=SOON)
    edit_asset.expire_asset(issue(pool=open_pool(name="Other"), expires_at=SOON).pk, ada)
    later = LATER.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    refused = as_ada.patch(f"{ROOT}/pools/{pool.pk}/", {"opens_at": later})
    other = as_ada.patch(f"{ROOT}/pools/{CreditPool.objects.get(name='Other').pk}/", {"opens_at": later})

    assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [("opens_at", "after_ends")]
    assert other.status_code == 200


def test_an_end_at_the_opening_is_before_it_and_no_end_is_after_it(ada: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(opens_at=datetime(2090, 1, 1, tzinfo=UTC))

    with pytest.raises(ValidationError, match="before its pool opens"):
        issue(pool=pool, expires_at=pool.opens_at)
    issue(pool=pool)
    issue(pool=pool, expires_at=pool.opens_at + timedelta(microseconds=1))
    with pytest.raises(ValidationError, match="before its pool opens"):
        issue_assets.build_asset(ada, title="Tea", total_value=Decimal(1), pool=pool, expires_at=SOON)
