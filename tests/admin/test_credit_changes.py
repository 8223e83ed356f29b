"""Granting, clawing back and extending credits in the console: asked for, shown, then done once; refused in the form."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import message_texts
from tests.money.conftest import figures, money
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Grant, Lot, Movement

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
OpenPool = Callable[..., CreditPool]


def step(name: str, lot: Lot) -> str:
    return reverse(f"admin:ledger_entry_{name}", args=[lot.pk])


def sent(**fields: str) -> dict[str, str]:
    return {"key": uuid4().hex, "reason": "mistake"} | fields


def until(days: int) -> dict[str, str]:
    """Return the fields of a time so many days from now."""
    then = timezone.now() + timedelta(days=days)
    return {"until_0": f"{then:%Y-%m-%d}", "until_1": f"{then:%H:%M:%S}"}


def test_a_clawback_shows_what_it_takes_and_what_it_cannot_take_yet(
    console: Client, credit: Credit, spend: Spend, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    lot = credit("100")
    spend("30")
    form = sent(reason="fraud", note="see the ticket")
    before = money()

    preview = console.post(step("clawback", lot), form).context

    assert preview["preview"] == [
        "70.00\xa0INR is taken back now.",
        "30.00\xa0INR is held or spent. It is taken as soon as it comes back.",
    ]
    assert preview["form"]["amount"].value() == "100.00"
    assert money() == before
    caplog.set_level("INFO", "cashback.audit")
    for _ in range(2):
        assert console.post(step("clawback", lot), form | {"amount": "100.00", "confirmed": "yes"}).status_code == 302
    movement = Movement.objects.get(kind="CLAWBACK")
    assert (movement.amount, movement.shortfall, movement.reason, movement.actor) == (70, 30, "fraud", ada)
    assert movement.note_digest
    lines = [json.loads(message) for message in caplog.messages]
    assert {(line["event"], line["outcome"], line["subject"]) for line in lines} == {("credit_clawback", "done", str(lot.pk))}
    assert "see the ticket" not in caplog.text


def test_a_refused_clawback_is_logged_with_its_code(console: Client, credit: Credit, caplog: pytest.LogCaptureFixture) -> None:
    lot = credit("100")
    before = money()
    caplog.set_level("INFO", "cashback.audit")

    answer = console.post(step("clawback", lot), sent(reason="fraud", amount="101.00", confirmed="yes"))

    assert "more than the claim" in answer.content.decode()
    line = json.loads(caplog.messages[0])
    assert (line["event"], line["outcome"], line["code"]) == ("credit_clawback", "refused", "exceeds_claim")
    assert money() == before


def test_an_extension_shows_both_ends(console: Client, credit: Credit, open_pool: OpenPool, ada: User) -> None:
    lot = credit("100", pool=open_pool(valid_for="5 days"))
    assert lot.spendable_until
    form = sent() | until(20)

    (first, _second) = console.post(step("extend", lot), form).context["preview"]
    assert f"{lot.spendable_until:%Y-%m-%d %H:%M:%S}" in first
    done = console.post(step("extend", lot), form | {"confirmed": "yes"})

    assert message_texts(done) == ["The credit was extended."]
    lot.refresh_from_db()
    assert f"{lot.spendable_until:%Y-%m-%d %H:%M:%S}" == f"{form['until_0']} {form['until_1']}"
    assert Movement.objects.get(kind="EXTEND").actor == ada


@pytest.mark.parametrize("days", [-3, 3])
def test_a_credit_is_never_shortened(console: Client, credit: Credit, open_pool: OpenPool, days: int) -> None:
    lot = credit("100", pool=open_pool(valid_for="5 days"))
    before = money()

    for confirmed in ({}, {"confirmed": "yes"}):
        answer = console.post(step("extend", lot), sent() | until(days) | confirmed)
        assert "later than its end" in answer.content.decode()
    assert money() == before


def test_a_grant_shows_the_credit_and_gives_it_once(
    *, console: Client, issue: Callable[..., CashbackAsset], open_pool: OpenPool, bob: User, ada: User
) -> None:
    pool = open_pool(name="Sorry")
    issue(pool=pool, title="Sorry credit"), issue(pool=pool)
    url = reverse("customer_grant", args=[bob.pk])
    form = sent(reason="goodwill", pool=str(pool.pk), reference="ticket-9")

    (line,) = console.post(url, form).context["preview"]
    assert "bob@example.com gets" in line
    assert not Entry.objects.exists()
    for _ in range(2):
        assert console.post(url, form | {"confirmed": "yes"}).status_code == 302

    (grant,) = Grant.objects.all()
    assert (grant.actor, grant.reason, grant.reference, grant.entry.user) == (ada, "goodwill", "ticket-9", bob)


def test_a_grant_beyond_the_pools_limit_is_refused(
    *, console: Client, issue: Callable[..., CashbackAsset], open_pool: OpenPool, bob: User
) -> None:
    pool = open_pool(per_user_limit=1)
    issue(pool=pool), issue(pool=pool)
    url = reverse("customer_grant", args=[bob.pk])
    console.post(url, sent(reason="goodwill", pool=str(pool.pk), reference="one", confirmed="yes"))

    again = console.post(url, sent(reason="goodwill", pool=str(pool.pk), reference="two", confirmed="yes"))

    assert again.status_code == 200
    assert again.context["form"].non_field_errors()
    assert Entry.objects.count() == 1


def test_the_claims_page_shows_what_is_left_and_leads_to_the_changes(console: Client, credit: Credit, spend: Spend) -> None:
    lot = credit("100")
    spend("30")

    page = console.get(reverse("admin:ledger_entry_change", args=[lot.pk])).content.decode()

    assert "70.00\xa0INR available, 0.00\xa0INR held" in page
    assert step("clawback", lot) in page
    assert step("extend", lot) in page


def test_the_customers_page_leads_to_wallet_payments_and_changes(console: Client, credit: Credit, alice: User) -> None:
    lot = credit("100")

    page = console.get(reverse("customer", args=[alice.pk])).content.decode()

    for url in (reverse("customer_wallet", args=[alice.pk]), reverse("customer_grant", args=[alice.pk]), step("extend", lot)):
        assert url in page


def test_the_policies_of_a_pool_are_set_in_its_form(console: Client, credit: Credit, shop: Any) -> None:
    url = reverse("admin:assets_creditpool_add")
    fields = {"name": "Rich", "kind": "PROMOTION", "currency": "INR", "time_zone": "UTC", "is_active": "on"}
    fields |= {"pending_for": "2 days", "valid_for": "1 month", "ends_with_day": "on", "draw_priority": "1"}
    fields |= {"service": str(shop.pk), "refund_grace_days": "0", "clawback_reach": "WALLET"}

    answer = console.post(url, fields)

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    pool = CreditPool.objects.get(name="Rich")
    assert (pool.pending_for, pool.valid_for, pool.ends_with_day, pool.draw_priority) == ("2 days", "1 mon", True, 1)
    assert (pool.service, pool.refund_grace_days, pool.clawback_reach) == (shop, 0, "WALLET")
    lot = credit("10", pool=pool)
    assert (lot.draw_priority, lot.service, figures(lot)) == (1, shop, {"available": 10})


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("valid_for", "soon"),
        ("valid_for", "0 days"),
        ("pending_for", "-1 day"),
        ("draw_priority", "9"),
        ("refund_grace_days", "367"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_beside_its_field(console: Client, db: None, field: str, text: str) -> None:
    fields = {"name": "Odd", "kind": "PROMOTION", "currency": "INR", "time_zone": "UTC", "draw_priority": "2"}
    fields |= {"refund_grace_days": "14", "clawback_reach": "CREDIT", field: text}

    errors = console.post(reverse("admin:assets_creditpool_add"), fields).context["adminform"].form.errors

    assert [*errors] in ([field], ["valid_for"])
    assert not CreditPool.objects.exists()
