"""The section of the seals, the customers page and the system page."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule, Task
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.admin.conftest import seal_an_entry
from tests.history import lifted
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Seal
from wallet.tasks import SCHEDULES, SWEEP

SEALS, LEDGER = reverse("admin:ledger_seal_changelist"), reverse("admin:ledger_entry_changelist")
OWNERS, SYSTEM = reverse("admin:ledger_claimedasset_owners"), reverse("system")
Issue = Callable[..., CashbackAsset]


@pytest.fixture
def sealed(issue: Issue, alice: User) -> Seal:
    claim_asset(issue().pk, alice)
    return seal_an_entry()


def test_entry_and_seal_link_to_each_other(console: Client, sealed: Seal) -> None:
    entry = Entry.objects.get()

    page = console.get(reverse("admin:ledger_entry_change", args=[entry.pk])).content.decode()
    listed = console.get(SEALS).content.decode()

    assert reverse("admin:ledger_seal_change", args=[sealed.pk]) in page
    assert f"{LEDGER}?seal={sealed.pk}" in listed
    assert list(console.get(LEDGER, {"seal": "1"}).context["cl"].result_list) == [entry]


@pytest.mark.parametrize("number", ["2", "x", "-1", "9" * 30])
def test_filter_by_unknown_seal_finds_no_entry(console: Client, sealed: Seal, number: str) -> None:
    assert list(console.get(LEDGER, {"seal": number}).context["cl"].result_list) == []


def test_unsealed_entry_says_so(console: Client, issue: Issue, alice: User) -> None:
    claim_asset(issue().pk, alice)

    page = console.get(reverse("admin:ledger_entry_change", args=[Entry.objects.get().pk])).content.decode()

    assert "not sealed yet" in page


def test_list_of_seals_shows_whether_each_signature_is_valid(console: Client, sealed: Seal) -> None:
    forged = Seal(**{field.attname: getattr(sealed, field.attname) for field in Seal._meta.concrete_fields})
    forged.seq, forged.from_xid, forged.to_xid = 2, sealed.to_xid, sealed.to_xid + 1
    with lifted("seal_follows", "ledger_seal"):
        forged.save(force_insert=True)

    admin = console.get(SEALS).context["cl"].model_admin

    assert [admin.signature_valid(seal) for seal in admin.get_queryset(None).order_by("seq")] == [True, False]


def test_seal_page_shows_its_root_and_is_read_only(console: Client, sealed: Seal) -> None:
    page = console.get(reverse("admin:ledger_seal_change", args=[sealed.pk])).content.decode()

    assert bytes(sealed.root).hex() in page
    assert 'name="_save"' not in page


@pytest.fixture
def owned(open_pool: Callable[..., CreditPool], issue: Issue, alice: User, bob: User) -> CreditPool:
    pool = open_pool(name="Diwali")
    claim_asset(issue(pool=pool).pk, alice)
    claim_asset(issue(total_value=Decimal(50)).pk, alice)
    claim_asset(issue(total_value=Decimal(5), currency="USD").pk, alice)
    claim_asset(issue(total_value=Decimal(30)).pk, bob)
    return pool


def owners(browser: Client, **query: str) -> list[tuple[Any, ...]]:
    lines = browser.get(OWNERS, query).context["lines"]
    return [
        ("alice" if "alice" in line["owner"] else "bob", line["credits"], line["value"], line["currency"]) for line in lines
    ]


def test_customers_page_lists_owners_by_value(console: Client, owned: CreditPool) -> None:
    assert owners(console) == [("alice", 2, "150.00", "INR"), ("bob", 1, "30.00", "INR"), ("alice", 1, "5.00", "USD")]
    assert owners(console, q="BOB@") == [("bob", 1, "30.00", "INR")]
    assert owners(console, currency="USD") == [("alice", 1, "5.00", "USD")]
    assert owners(console, pool=str(owned.pk)) == [("alice", 1, "100.00", "INR")]


@pytest.mark.parametrize("query", [{"pool": "no-uuid"}, {"currency": "rupees"}, {"q": "x" * 300}])
def test_a_filter_of_the_customers_that_cannot_be_read_is_refused(
    console: Client, owned: CreditPool, query: dict[str, str]
) -> None:
    page, file = console.get(OWNERS, query), console.get(f"{OWNERS}export/csv/", query)

    assert (page.status_code, page.context["lines"], file.status_code) == (400, [], 400)
    assert 'class="errorlist' in page.content.decode()
    assert console.get(OWNERS, {"p": "nonsense"}).status_code == 400


def test_owners_are_listed_by_currency(console: Client, owned: CreditPool, issue: Issue, bob: User) -> None:
    claim_asset(issue(total_value=Decimal(999), currency="USD").pk, bob)

    assert [line[2:] for line in owners(console)] == [
        ("150.00", "INR"),
        ("30.00", "INR"),
        ("999.00", "USD"),
        ("5.00", "USD"),
    ]


def test_customers_page_totals_all_matching_owners(console: Client, owned: CreditPool) -> None:
    assert console.get(OWNERS).context["totals"] == [
        {"currency": "INR", "people": 2, "credits": 3, "value": "180.00"},
        {"currency": "USD", "people": 1, "credits": 1, "value": "5.00"},
    ]


def test_large_amounts_are_grouped_on_pages_and_plain_in_files(console: Client, alice: User, issue: Issue) -> None:
    for currency in ("INR", "USD"):
        claim_asset(issue(total_value=Decimal("1234567.50"), currency=currency).pk, alice)
    shown = Seal.objects.whatever_shape().get(pk=seal_an_entry().pk)

    assert [total["value"] for total in console.get(OWNERS).context["totals"]] == ["12,34,567.50", "1,234,567.50"]
    assert [line[2] for line in owners(console)] == ["12,34,567.50", "1,234,567.50"]
    ownership = console.get(reverse("admin:ledger_claimedasset_changelist"))
    assert [total["value"] for total in ownership.context["totals"]] == ["12,34,567.50", "1,234,567.50"]
    assert "1,234,567.50\N{NO-BREAK SPACE}USD" in ownership.content.decode()
    assert console.get(SEALS).context["cl"].model_admin.amounts(shown) == "1,234,567.50\N{NO-BREAK SPACE}USD"
    file: Any = console.get(reverse("admin:ledger_claimedasset_owners_export", args=["csv"]))
    assert b"1234567.50" in b"".join(file.streaming_content)


def test_customers_page_takes_six_queries_for_a_hundred_owners(
    console: Client, issue: Issue, make_users: Callable[[int], list[User]], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for user in make_users(101):
        claim_asset(issue().pk, user)

    # session, person, pools of the form, count, page, totals; and the transaction of an expensive read with its time limit
    with django_assert_num_queries(6 + 3):
        answer = console.get(OWNERS)

    assert (len(answer.context["lines"]), answer.context["page"].paginator.num_pages) == (100, 2)


def lines(browser: Client) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in browser.get(SYSTEM).context["schedules"]}


def test_system_page_shows_the_state_of_services(console: Client, sealed: Seal) -> None:
    context = console.get(SYSTEM).context

    states = {name: (state, good) for name, state, good in context["services"]}
    assert states["Migrations"] == ("all applied", True)
    assert states["Redis"] == ("ok", True)
    assert context["seals"] == {"last": sealed, "unsealed": 0}


def test_system_page_shows_missing_schedules(console: Client) -> None:
    assert set(lines(console)) == set(SCHEDULES)
    assert console.get(SYSTEM).content.decode().count("not set up") == len(SCHEDULES)


def test_system_page_shows_last_run_result_and_lateness_of_a_schedule(console: Client) -> None:
    now = timezone.now()
    for key, ago, result in (("a", 0, 7), ("b", 60, 6)):
        ended = now - timedelta(seconds=ago)
        Task.objects.create(
            id=key * 32, name=key, group=SWEEP, func="x", started=ended, stopped=ended, success=True, result=result
        )
    Schedule.objects.create(name=SWEEP, func="x", task="still at work", next_run=now - timedelta(minutes=5))

    line = lines(console)[SWEEP]

    assert (line["task"].stopped, line["result"], line["late"]) == (now, 7, True)


def test_system_page_counts_unsealed_entries(console: Client, issue: Issue, alice: User) -> None:
    claim_asset(issue().pk, alice)

    assert console.get(SYSTEM).context["seals"] == {"last": None, "unsealed": 1}


def test_system_page_refuses_post(root_client: Client) -> None:
    assert root_client.post(SYSTEM).status_code == 403
