"""A form of the console that was opened before somebody else's change does not undo it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule

from accounts.models import User
from kernel.opened_forms import OpenedForm
from tests.admin.conftest import form_data, message_texts, state
from wallet.actions import edit_asset, edit_pool, expire_assets
from wallet.actions.claim import claim_asset
from wallet.assets.change_context import acting_through_channel
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
STALE = "This was changed after you opened the form, so nothing was saved."


def page(row: Any, name: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def opened(browser: Client, row: Any) -> dict[str, str]:
    return form_data(browser.get(page(row)), f"{row._meta.model_name}_form")


def test_a_stale_form_of_a_credit_says_what_changed_by_whom_and_when(console: Client, ada: User, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(days=9))
    form = opened(console, asset)
    with acting_through_channel("api"):
        edit_asset.update_asset(asset.pk, ada, total_value=Decimal(10), expires_at=timezone.now() + timedelta(days=5))
    before = state(asset)

    answer = console.post(page(asset), form | {"title": "Typed"})

    errors = answer.context["adminform"].form.errors
    assert state(asset) == before
    assert STALE in errors["__all__"][0]
    assert errors["total_value"][0].startswith("ada@example.com changed this from 100.00 to 10.00 on 20")
    assert set(errors) == {"__all__", "total_value", "expires_at"}
    assert STALE in answer.content.decode()


def test_what_was_typed_is_kept_and_a_second_save_keeps_the_others_change(console: Client, ada: User, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(days=9))
    form = opened(console, asset)
    end = timezone.now().replace(microsecond=0) + timedelta(days=5)
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(10), expires_at=end)

    again = form_data(console.post(page(asset), form | {"title": "Typed"}), "cashbackasset_form")
    answer = console.post(page(asset), again)

    asset.refresh_from_db()
    assert answer.status_code == 302
    assert (asset.title, asset.total_value, asset.expires_at) == ("Typed", Decimal(10), end)


def test_a_field_that_both_changed_keeps_what_was_typed(console: Client, ada: User, issue: Issue) -> None:
    asset = issue()
    form = opened(console, asset)
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(10))

    again = form_data(console.post(page(asset), form | {"total_value": "55.50"}), "cashbackasset_form")

    assert again["total_value"] == "55.50"


def test_an_error_in_between_does_not_refresh_what_the_form_has_seen(console: Client, ada: User, issue: Issue) -> None:
    asset = issue()
    form = opened(console, asset)
    again = form_data(console.post(page(asset), form | {"total_value": "nonsense"}), "cashbackasset_form")
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(10))

    answer = console.post(page(asset), again | {"total_value": "100.00", "title": "Typed"})

    asset.refresh_from_db()
    assert (answer.status_code, asset.title, asset.total_value) == (200, "Welcome bonus", Decimal(10))


def test_a_form_is_saved_when_nothing_changed(console: Client, issue: Issue) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(days=9))
    end = asset.expires_at

    answer = console.post(page(asset), opened(console, asset) | {"title": "Typed"})

    asset.refresh_from_db()
    assert (answer.status_code, asset.title, asset.expires_at) == (302, "Typed", end)


def test_a_forged_or_foreign_token_is_refused(console: Client, issue: Issue) -> None:
    asset, other = issue(), issue()
    form = opened(console, asset)

    for token in ("nonsense", opened(console, other)["_opened"]):
        answer = console.post(page(asset), form | {"title": "Typed", "_opened": token})
        assert STALE in answer.content.decode()
    asset.refresh_from_db()
    assert asset.title == "Welcome bonus"


def test_a_stale_form_of_a_pool_says_what_changed_and_through_which_channel(
    console: Client, ada: User, open_pool: OpenPool
) -> None:
    pool = open_pool(per_user_limit=3)
    form = opened(console, pool)
    edit_pool.update_pool(pool.pk, None, is_active=False, per_user_limit=1)

    answer = console.post(page(pool), form | {"name": "Typed"})

    pool.refresh_from_db()
    errors = answer.context["adminform"].form.errors
    assert (pool.name, pool.is_active, pool.per_user_limit) == ("Diwali", False, 1)
    assert set(errors) == {"__all__", "is_active", "per_user_limit"}
    assert errors["is_active"][0].startswith("Command line changed this from yes to no on 20")
    again = form_data(answer, "creditpool_form")
    assert (again["name"], again["per_user_limit"], "is_active" in again) == ("Typed", "1", False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["credit", "pool", "person"])
def test_of_two_forms_that_are_saved_together_one_wins(
    root: User, alice: User, issue: Issue, open_pool: OpenPool, kind: str
) -> None:
    row: Any = {"credit": issue, "pool": open_pool, "person": lambda: alice}[kind]()
    field = {"credit": "title", "pool": "name", "person": "email"}[kind]
    browsers = [Client() for _ in range(4)]
    for browser in browsers:
        browser.force_login(root)
    forms = [opened(browser, row) for browser in browsers]
    start, statuses = threading.Barrier(4), []

    def save(number: int) -> None:
        start.wait()
        statuses.append(browsers[number].post(page(row), forms[number] | {field: f"n{number}@example.com"}).status_code)
        connection.close()

    threads = [threading.Thread(target=save, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 200, 200, 302]


def test_a_stale_form_does_not_bring_a_deactivated_or_demoted_person_back(root_client: Client, root: User, ada: User) -> None:
    form = opened(root_client, ada)
    other = Client()
    other.force_login(root)
    other.post(page(ada), opened(other, ada) | {"role": "USER"})
    User.objects.filter(pk=ada.pk).update(is_active=False, email="new@example.com")  # any other channel

    answer = root_client.post(page(ada), form | {"is_superuser": "on"})

    ada.refresh_from_db()
    errors = answer.context["adminform"].form.errors
    assert (ada.role, ada.is_active, ada.is_superuser, ada.email) == ("USER", False, False, "new@example.com")
    assert set(errors) == {"__all__", "role", "is_active", "email"}
    assert errors["role"][0].startswith("root@example.com changed this from Admin to User on 20")
    assert errors["is_active"] == ["This was changed from yes to no after you opened the form."]


def test_a_schedule_that_ran_meanwhile_keeps_its_next_run(root_client: Client) -> None:
    schedule = Schedule.objects.create(name="sweep", func="wallet.tasks.expire", schedule_type="I", minutes=1)
    form = opened(root_client, schedule)
    ran = timezone.now().replace(microsecond=0) + timedelta(minutes=7)
    Schedule.objects.filter(pk=schedule.pk).update(next_run=ran)

    answer = root_client.post(page(schedule), form | {"name": "Typed"})

    schedule.refresh_from_db()
    assert (answer.status_code, schedule.name, schedule.next_run) == (302, "Typed", ran)


def test_a_stale_form_of_a_schedule_is_refused(root_client: Client) -> None:
    schedule = Schedule.objects.create(name="sweep", func="wallet.tasks.expire", schedule_type="I", minutes=1)
    form = opened(root_client, schedule)
    Schedule.objects.filter(pk=schedule.pk).update(minutes=5)

    answer = root_client.post(page(schedule), form | {"name": "Typed"})

    schedule.refresh_from_db()
    assert (answer.status_code, schedule.name, schedule.minutes) == (200, "sweep", 5)


def test_every_section_that_can_be_edited_carries_what_its_form_showed() -> None:
    read_only = {
        "CashbackAssetEvent",
        "Issuance",
        "Entry",
        "ClaimedAsset",
        "Seal",
        "Batch",
        "BulkJob",
        "Lapse",
        "Payment",
        "Proposal",
        "GrantDue",
        "Referral",
        "Success",
        "Failure",
    }
    editable = {model._meta.object_name: section.form for model, section in admin.site._registry.items()}
    assert {name for name, form in editable.items() if not issubclass(form, OpenedForm)} == read_only


def test_an_edit_that_lost_to_a_claim_says_who_claimed_and_keeps_what_was_typed(
    console: Client, alice: User, issue: Issue
) -> None:
    asset = issue()
    form = opened(console, asset)
    claim_asset(asset.pk, alice)
    before = state(asset)

    answer = console.post(page(asset), form | {"title": "Typed"})

    shown = answer.content.decode()
    assert "Nothing was saved: alice@example.com claimed this credit on 20" in shown
    assert 'value="Typed"' in shown
    assert "You don&#x27;t have access" not in shown
    assert state(asset) == before


def test_an_edit_that_lost_to_an_expiry_says_so(console: Client, ada: User, issue: Issue) -> None:
    expired, due = issue(), issue(expires_at=timezone.now() + timedelta(seconds=0.5))
    forms = [opened(console, expired), opened(console, due)]
    edit_asset.expire_asset(expired.pk, ada)
    while not expire_assets.expire_due():
        pass

    by_ada, by_time = (console.post(page(asset), form) for asset, form in zip((expired, due), forms, strict=True))

    assert "Nothing was saved: ada@example.com expired this credit on 20" in by_ada.content.decode()
    assert "Nothing was saved: this credit expired on 20" in by_time.content.decode()


def test_a_deletion_that_lost_to_a_claim_says_so(console: Client, alice: User, issue: Issue) -> None:
    asset = issue()
    console.get(page(asset, "delete"))
    claim_asset(asset.pk, alice)

    answer = console.post(page(asset, "delete"), {"post": "yes"})

    assert answer.status_code == 302
    assert message_texts(answer) == ["This credit has been claimed and can't be deleted."]
    assert CashbackAsset.objects.get() == asset
