"""Access to the sections of the console by role."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.invitations import Invitation
from accounts.models import User
from accounts.registration import register_user
from accounts.services import Service
from tests.admin.conftest import CREDITS, seal_an_entry
from tests.conftest import PASSWORD
from tests.money.conftest import end_credit
from wallet.actions import bulk_jobs, edit_asset, edit_rule
from wallet.actions.claim import claim_asset
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.pay import pay
from wallet.actions.referral import ensure_referral_code
from wallet.assets.batches import JobKind
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Lot

INDEX, LOGIN = reverse("admin:index"), reverse("admin:login")
OPERATOR_SECTIONS = {
    "assets_cashbackasset",
    "assets_cashbackassetevent",
    "assets_creditpool",
    "assets_issuance",
    "ledger_claimedasset",
    "ledger_entry",
    "ledger_seal",
    "ledger_payment",
    "ledger_lapse",
    "ledger_proposal",
    "assets_batch",
    "assets_bulkjob",
    "programme_grantrule",
    "programme_grantdue",
    "programme_referral",
}
SUPERUSER_SECTIONS = {"accounts_user", "django_q_schedule", "django_q_success", "django_q_failure"}


def lists(sections: set[str]) -> list[str]:
    return [reverse(f"admin:{section}_changelist") for section in sorted(sections)]


@pytest.fixture
def addresses(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], alice: User) -> list[str]:
    """Return the URL of every page that an operator can open, with a row of each kind."""
    pool = open_pool()
    free, owned = issue(pool=pool), issue(pool=pool)
    claim_asset(owned.pk, alice)
    entry = Entry.objects.get()
    pages = [INDEX, *lists(OPERATOR_SECTIONS)]
    pages += [
        reverse(f"admin:{section}_add") for section in ("assets_creditpool", "assets_cashbackasset", "programme_grantrule")
    ]
    rows: dict[str, list[Any]] = {"assets_creditpool": [pool], "assets_cashbackasset": [free, owned], "ledger_entry": [entry]}
    for section, members in rows.items():
        for row in members:
            pages += [reverse(f"admin:{section}_{page}", args=[row.pk]) for page in ("change", "history")]
    pages += [
        reverse("admin:assets_cashbackasset_delete", args=[free.pk]),
        reverse("admin:assets_creditpool_issue", args=[pool.pk]),
    ]
    exported = ("assets_cashbackasset", "ledger_claimedasset", "ledger_claimedasset_owners", "ledger_entry")
    pages += [reverse(f"admin:{section}_export", args=[shape]) for section in exported for shape in ("csv", "xlsx")]
    pages += [reverse(f"admin:{page}") for page in ("ledger_claimedasset_owners", "assets_cashbackasset_import")]
    pages += [reverse("customer_search"), reverse("customer", args=[alice.pk])]
    return [*pages, reverse("system"), reverse("admin:ledger_seal_change", args=[seal_an_entry().pk])]


def test_every_registered_section_is_listed_here() -> None:
    sections = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}

    assert sections == OPERATOR_SECTIONS | SUPERUSER_SECTIONS


def test_operator_can_open_every_operator_page(console: Client, addresses: list[str]) -> None:
    assert {address: console.get(address).status_code for address in addresses} == dict.fromkeys(addresses, 200)


def test_superuser_can_open_every_page(root_client: Client, addresses: list[str]) -> None:
    pages = [*addresses, *lists(SUPERUSER_SECTIONS), reverse("admin:accounts_user_add"), reverse("admin:django_q_schedule_add")]

    assert {address: root_client.get(address).status_code for address in pages} == dict.fromkeys(pages, 200)


def test_users_and_anonymous_visitors_are_redirected_to_sign_in_from_every_page(alice: User, addresses: list[str]) -> None:
    users, strangers = Client(), Client()
    users.force_login(alice)

    for browser in (users, strangers):
        for address in [*addresses, *lists(SUPERUSER_SECTIONS)]:
            for answer in (browser.get(address), browser.post(address)):
                assert answer.status_code == 302, address
                assert answer["Location"].startswith(LOGIN), address


def test_user_without_console_access_sees_the_reason_at_sign_in(client: Client, alice: User) -> None:
    client.force_login(alice)

    answer = client.get(LOGIN)

    assert answer.status_code == 200
    assert "alice@example.com doesn't have console access." in answer.content.decode()


def test_user_cannot_sign_in_to_the_console(client: Client, alice: User) -> None:
    answer = client.post(LOGIN, {"username": alice.email, "password": PASSWORD})

    assert answer.status_code == 200
    assert "sessionid" not in client.cookies


def test_operator_signs_in_to_the_console(client: Client, ada: User) -> None:
    answer = client.post(f"{LOGIN}?next={INDEX}", {"username": ada.email, "password": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (302, INDEX)


def test_console_sign_in_is_rate_limited(client: Client, ada: User) -> None:
    for _ in range(5):
        client.post(LOGIN, {"username": ada.email, "password": "wrong"})

    answer = client.post(LOGIN, {"username": ada.email, "password": PASSWORD})

    assert "Too many attempts" in answer.content.decode()
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize("change", [{"role": "USER"}, {"is_active": False}])
def test_demoted_or_deactivated_operator_loses_access_at_the_next_request(
    console: Client, ada: User, change: dict[str, object]
) -> None:
    User.objects.filter(pk=ada.pk).update(**change)

    assert console.get(CREDITS)["Location"].startswith(LOGIN)


@pytest.mark.parametrize("address", [*lists(SUPERUSER_SECTIONS), reverse("admin:accounts_user_add")])
def test_users_and_schedules_are_forbidden_to_operators(console: Client, address: str) -> None:
    assert console.get(address).status_code == 403
    assert console.post(address, {"func": "os.system"}).status_code == 403


def test_index_shows_operators_their_sections_and_the_figures(
    console: Client, open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    pool = open_pool(name="Diwali")
    for _ in range(3):
        issue(pool=pool)
    claim_asset(CashbackAsset.objects.all()[0].pk, alice)

    page = console.get(INDEX).content.decode()

    for text in ("Diwali", "300.00", "200.00", "Ownership", "Ledger", "Credits"):
        assert text in page
    for text in ("Schedules", "Failed tasks", reverse("admin:accounts_user_changelist")):
        assert text not in page


@pytest.mark.parametrize("query", [{"s": "pool"}, {"s": "pool", "extended": "1"}, {"s": "nothing"}, {}])
def test_search_of_the_theme_redirects_to_the_index(console: Client, query: dict[str, str]) -> None:
    assert console.get(reverse("admin:search"), query)["Location"] == INDEX


@pytest.mark.parametrize("section", sorted(OPERATOR_SECTIONS))
def test_list_of_a_hundred_rows_takes_as_many_queries_as_one(
    *,
    console: Client,
    ada: User,
    alice: User,
    open_pool: Callable[..., CreditPool],
    issue: Callable[..., CashbackAsset],
    django_assert_num_queries: DjangoAssertNumQueries,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    section: str,
) -> None:
    address = reverse(f"admin:{section}_changelist")

    def create_rows(name: str) -> None:
        pool = open_pool(name=name)
        asset = issue(pool=pool)
        claim = claim_asset(edit_asset.update_asset(asset.pk, ada, title=name).pk, alice)
        seal_an_entry()
        shop = Service.objects.create(name=name)
        if section == "ledger_payment":
            pay(alice, shop, currency="INR", amount=Decimal(1), reference=name.replace(" ", "-"))
        elif section == "ledger_lapse":
            end_credit(Lot.objects.get(pk=claim.receipt["id"]))
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            lapse_ended_credits()
        elif section.startswith("programme_"):
            edit_rule.open_rule(ada, name=name, pool=pool, event="REGISTERED")
            invitation = Invitation(ensure_referral_code(alice))
            register_user(f"{name.replace(' ', '')}@example.com", PASSWORD, invitation)
        elif section == "assets_bulkjob":
            bulk_jobs.start_job(ada, JobKind.EXPIRE, pool, in_background=False)

    create_rows("Diwali")
    with django_assert_max_num_queries(8 + 3) as one:  # 3: the transaction of an expensive read with its time limit
        console.get(address)
    for number in range(99):
        create_rows(f"Pool {number}")

    with django_assert_num_queries(len(one)):
        answer = console.get(address)

    assert len(answer.context["cl"].result_list) == 100
