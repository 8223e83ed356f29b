"""A pool's page: the campaign above the form, and what can be done with the whole pool."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from tests.admin.conftest import message_texts
from wallet.actions import edit_asset, edit_pool, pool_lifecycle
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.queries import change_history

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
POOLS = reverse("admin:assets_creditpool_changelist")


def page_of(pool: CreditPool) -> str:
    return reverse("admin:assets_creditpool_change", args=[pool.pk])


def press(browser: Client, pool: CreditPool, button: str, **fields: str) -> Any:
    return browser.post(reverse("admin:assets_creditpool_lifecycle", args=[pool.pk]), {"action": button, **fields})


@pytest.fixture
def diwali(open_pool: OpenPool, issue: Issue, alice: User, ada: User) -> CreditPool:
    """Five credits of 100 rupees: one claimed, one expired, one deleted, two available."""
    pool = open_pool(name="Diwali", closes_at=timezone.now() + timedelta(days=9))
    credits = [issue(pool=pool, expires_at=timezone.now() + timedelta(days=3)) for _ in range(5)]
    claim_asset(credits[0].pk, alice)
    edit_asset.expire_asset(credits[1].pk, ada)
    edit_asset.delete_asset(credits[2].pk, ada)
    return pool


def test_page_shows_supply_and_value_by_state(console: Client, diwali: CreditPool) -> None:
    context = console.get(page_of(diwali)).context

    assert [(str(line["title"]), line["value"], line["count"]) for line in context["figures"]] == [
        ("Issued", "500.00", 5),
        ("Available", "200.00", 2),
        ("Claimed", "100.00", 1),
        ("Expired unclaimed", "100.00", 1),
    ]
    assert [(part["name"], part["start"], part["width"]) for part in context["bar"]] == [
        ("available", 0.0, 50.0),
        ("claimed", 50.0, 25.0),
        ("expired", 75.0, 25.0),
    ]


def test_page_charts_claims_and_expiries_of_this_pool_only(
    console: Client, diwali: CreditPool, open_pool: OpenPool, issue: Issue, alice: User
) -> None:
    claim_asset(issue(pool=open_pool(name="Holi"), expires_at=timezone.now() + timedelta(days=3)).pk, alice)

    context = console.get(page_of(diwali)).context

    assert (context["claims"].total, context["claims"].bars[-1].number, len(context["claims"].bars)) == (1, 1, 31)
    assert context["expiring"].total == 2
    assert context["next_expiry"] is not None


def test_page_links_to_the_pools_own_lists(console: Client, diwali: CreditPool) -> None:
    page = console.get(page_of(diwali))

    assert reverse("admin:assets_batch_changelist") in [url.partition("?")[0] for _title, url in page.context["links"]]
    for _title, url in page.context["links"]:
        assert f"?pool={diwali.pk}" in url
        assert url in page.content.decode()
        assert console.get(url).status_code == 200
    for figure in page.context["figures"][1:]:
        assert console.get(figure["url"]).context["cl"].result_count == figure["count"]


def test_page_takes_as_many_queries_for_many_credits_as_for_few(
    *,
    console: Client,
    diwali: CreditPool,
    issue: Issue,
    alice: User,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_max_num_queries(16) as few:
        console.get(page_of(diwali))
    for _ in range(20):
        claim_asset(issue(pool=diwali).pk, alice)

    with django_assert_num_queries(len(few)):
        console.get(page_of(diwali))


def test_page_is_shown_without_charts_while_searches_are_refused(
    console: Client, diwali: CreditPool, settings: Settings
) -> None:
    settings.RATES = settings.RATES | {"search": "1/m"}

    assert console.get(page_of(diwali)).context["claims"] is not None
    page = console.get(page_of(diwali))

    assert page.status_code == 200
    assert page.context["claims"] is None
    assert "The charts are not available right now." in page.content.decode()


@pytest.mark.parametrize(
    ("settings_of_pool", "state"),
    [
        ({}, "Open"),
        ({"is_active": False}, "Paused"),
        ({"opens_at": timezone.now() + timedelta(days=1)}, "Not open yet"),
        ({"opens_at": timezone.now() - timedelta(days=2), "closes_at": timezone.now() - timedelta(days=1)}, "Closed"),
    ],
)
def test_page_says_whether_users_can_claim(
    console: Client, open_pool: OpenPool, settings_of_pool: dict[str, Any], state: str
) -> None:
    page = console.get(page_of(open_pool(**settings_of_pool)))

    assert page.context["state"] == state
    assert "No credits have been issued in this pool." in page.content.decode()


def test_buttons_pause_and_resume_with_a_trail(console: Client, diwali: CreditPool, ada: User) -> None:
    paused = press(console, diwali, "pause")

    assert paused["Location"] == page_of(diwali)
    assert message_texts(paused)[-1].startswith("Paused.")
    assert not CreditPool.objects.get().is_active
    change = change_history.of_pool(diwali)[0]
    assert (change.action, change.who, change.channel, change.fields) == (
        "update",
        ada.email,
        "admin",
        [("is_active", True, False)],
    )
    press(console, diwali, "resume")
    assert CreditPool.objects.get().is_active


def test_archived_pool_is_listed_only_when_asked_for(console: Client, diwali: CreditPool, open_pool: OpenPool) -> None:
    open_pool(name="Holi")
    press(console, diwali, "archive")

    def listed(query: dict[str, str]) -> list[str]:
        return [pool.name for pool in console.get(POOLS, query).context["cl"].result_list]

    assert listed({}) == ["Holi"]
    assert listed({"archived": "yes"}) == ["Diwali"]
    assert listed({"archived": "all"}) == ["Holi", "Diwali"]
    assert console.get(page_of(diwali)).context["state"] == "Archived"
    press(console, diwali, "unarchive")
    assert listed({}) == ["Holi", "Diwali"]
    assert console.get(page_of(diwali)).context["state"] == "Paused"


def test_unreadable_filter_of_archived_pools_is_refused(console: Client, diwali: CreditPool) -> None:
    listed = console.get(POOLS, {"archived": "perhaps"})

    assert (listed.status_code, list(listed.context["cl"].result_list)) == (400, [])


def test_archived_pool_is_not_offered_for_new_credits(console: Client, diwali: CreditPool, ada: User) -> None:
    pool_lifecycle.archive_pool(diwali.pk, ada)

    for address in (reverse("admin:assets_cashbackasset_add"), reverse("admin:assets_cashbackasset_import")):
        assert f'value="{diwali.pk}"' not in console.get(address).content.decode(), address


def test_archived_pool_is_still_shown_in_the_form_of_its_credit(console: Client, diwali: CreditPool, ada: User) -> None:
    pool_lifecycle.archive_pool(diwali.pk, ada)
    credit = CashbackAsset.objects.claimable()[0]

    assert "Diwali" in console.get(reverse("admin:assets_cashbackasset_change", args=[credit.pk])).content.decode()


def test_resuming_an_archived_pool_is_refused_with_words(console: Client, diwali: CreditPool, ada: User) -> None:
    pool_lifecycle.archive_pool(diwali.pk, ada)

    refused = press(console, diwali, "resume")

    assert message_texts(refused)[-1] == "This pool is archived. Unarchive it first."
    assert not CreditPool.objects.get().is_active


def test_refused_button_claims_no_success(console: Client, diwali: CreditPool, ada: User) -> None:
    pool_lifecycle.archive_pool(diwali.pk, ada)

    assert message_texts(press(console, diwali, "resume")) == ["This pool is archived. Unarchive it first."]


@pytest.mark.parametrize("button", ["pause", "resume", "archive", "unarchive", "duplicate"])
def test_button_of_an_old_page_does_nothing_to_a_pool_that_somebody_changed(
    console: Client, diwali: CreditPool, ada: User, button: str
) -> None:
    shown = re.findall(r'name="shown" value="([^"]+)"', console.get(page_of(diwali)).content.decode())
    edit_pool.update_pool(diwali.pk, ada, currency=diwali.currency, per_user_limit=1)
    before = list(CreditPool.objects.values())

    refused = press(console, diwali, button, name="Holi", shown=shown[0])

    assert len(shown) == 2
    assert "nothing was done" in message_texts(refused)[-1]
    assert list(CreditPool.objects.values()) == before


def test_deletion_of_a_pool_that_was_changed_after_the_question_is_asked_again(
    console: Client, open_pool: OpenPool, ada: User
) -> None:
    pool = open_pool()
    address = reverse("admin:assets_creditpool_delete", args=[pool.pk])
    (shown,) = re.findall(r'name="shown" value="([^"]+)"', console.get(address).content.decode())
    edit_pool.update_pool(pool.pk, ada, name="Somebody else's")

    refused = console.post(address, {"post": "yes", "shown": shown})

    assert refused["Location"] == address
    assert CreditPool.objects.exists()


def test_duplicate_leads_to_the_new_paused_pool(console: Client, diwali: CreditPool) -> None:
    answer = press(console, diwali, "duplicate", name="Holi")

    copy = CreditPool.objects.get(name="Holi")
    assert answer["Location"] == page_of(copy)
    assert (copy.is_active, copy.closes_at, copy.assets.count()) == (False, diwali.closes_at, 0)


@pytest.mark.parametrize("name", ["", "Diwali"])
def test_duplicate_without_a_name_of_its_own_is_refused(console: Client, diwali: CreditPool, name: str) -> None:
    answer = press(console, diwali, "duplicate", name=name)

    assert answer["Location"] == page_of(diwali)
    assert CreditPool.objects.count() == 1


def test_unknown_button_does_nothing(console: Client, diwali: CreditPool) -> None:
    assert message_texts(press(console, diwali, "explode"))[-1] == "Choose what to do with this pool."
    assert CreditPool.objects.get().is_active


def test_pool_that_had_credits_is_not_deleted_and_the_operator_is_told_what_to_do(console: Client, diwali: CreditPool) -> None:
    address = reverse("admin:assets_creditpool_delete", args=[diwali.pk])

    for answer in (console.get(address), console.post(address, {"post": "yes"})):
        assert answer["Location"] == page_of(diwali)
        assert message_texts(answer)[-1] == "This pool has had credits and can't be deleted. Archive it instead."
    assert address not in console.get(page_of(diwali)).content.decode()
    assert CreditPool.objects.count() == 1


def test_empty_pool_is_deleted_after_a_confirmation(console: Client, open_pool: OpenPool, ada: User) -> None:
    pool = open_pool()
    address = reverse("admin:assets_creditpool_delete", args=[pool.pk])

    assert address in console.get(page_of(pool)).content.decode()
    assert console.get(address).status_code == 200
    console.post(address, {"post": "yes"})

    assert not CreditPool.objects.exists()
    event = CreditPool.pgh_event_model.objects.get(pgh_label="delete")  # type: ignore[attr-defined]
    assert event.pgh_context.metadata["email"] == ada.email


def test_refused_form_is_shown_without_the_campaign(console: Client, diwali: CreditPool) -> None:
    answer = console.post(page_of(diwali), {"name": ""})

    assert answer.status_code == 200
    assert "campaign" not in answer.context
    assert CreditPool.objects.get().name == "Diwali"
