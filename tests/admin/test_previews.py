"""What was confirmed in the console is what is done: a preview that is no longer true is shown anew, and nothing is done."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import CREDITS, message_texts
from wallet.actions import edit_asset, edit_pool, issue_assets, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
STALE = "Something changed after this preview, so nothing was done. Check the new preview."


class Inputs(HTMLParser):
    """Collects the inputs of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag != "input" or not (name := given.get("name")):
            return
        value = given.get("value") or ""
        self.data[name] = [*self.data.get(name, []), value] if name == "_selected_action" else value


@pytest.fixture
def preview(console: Client) -> Callable[..., dict[str, Any]]:
    """Choose credits and an action, fill in what it asks for, and return what the confirm button would send."""

    def show(action: str, *chosen: CashbackAsset, **answers: str) -> dict[str, Any]:
        data: dict[str, Any] = {"action": action, "_selected_action": [str(asset.pk) for asset in chosen], "index": "0"}
        html = console.post(CREDITS, data | ({"asked": "yes"} | answers if answers else {})).content.decode()
        return {name: value for name, value in Inputs(html).data.items() if name != "csrfmiddlewaretoken"}

    return show


Preview = Callable[..., dict[str, Any]]
SOON = timezone.now().replace(microsecond=0) + timedelta(days=3)


def everything() -> list[Any]:
    return list(CashbackAsset.objects.order_by("pk").values())


@pytest.mark.parametrize("action", ["expire", "extend", "recreate", "delete_chosen"])
def test_a_confirmation_without_a_change_is_carried_out(
    console: Client, ada: User, issue: Issue, preview: Preview, action: str
) -> None:
    asset = issue(expires_at=SOON)
    if action == "recreate":
        edit_asset.expire_asset(asset.pk, ada)
    answers = {"last_day": "2090-01-01"} if action == "extend" else {}

    answer = console.post(CREDITS, preview(action, asset, **answers))

    assert answer.status_code == 302
    assert message_texts(answer)[0].startswith("1 credit ")


@pytest.mark.parametrize("action", ["expire", "extend", "delete_chosen"])
@pytest.mark.parametrize("change", [{"total_value": Decimal(7)}, {"title": "Other"}, {"expires_at": SOON + timedelta(days=1)}])
def test_a_credit_that_changed_after_the_preview_stops_the_action(
    *, console: Client, ada: User, issue: Issue, preview: Preview, action: str, change: dict[str, Any]
) -> None:
    asset, other = issue(expires_at=SOON), issue(expires_at=SOON)
    data = preview(action, asset, other, **({"last_day": "2090-01-01"} if action == "extend" else {}))
    edit_asset.update_asset(asset.pk, ada, **change)
    before = everything()

    answer = console.post(CREDITS, data)

    assert answer.status_code == 200
    assert STALE in answer.content.decode()
    assert everything() == before
    again = console.post(CREDITS, Inputs(answer.content.decode()).data)
    assert message_texts(again)[-1].startswith("2 credits ")


def test_a_claim_after_the_preview_stops_the_action(console: Client, alice: User, issue: Issue, preview: Preview) -> None:
    asset, other = issue(), issue()
    data = preview("expire", asset, other)
    claim_asset(asset.pk, alice)

    assert STALE in console.post(CREDITS, data).content.decode()
    assert sorted(CashbackAsset.objects.values_list("status", flat=True)) == ["AVAILABLE", "CLAIMED"]


def test_a_pools_other_time_zone_stops_an_extension_to_a_day(
    console: Client, ada: User, open_pool: OpenPool, issue: Issue, preview: Preview
) -> None:
    pool = open_pool(time_zone="Asia/Kolkata")
    asset = issue(pool=pool, expires_at=SOON)
    data = preview("extend", asset, last_day="2090-01-01")
    edit_pool.update_pool(pool.pk, ada, time_zone="UTC")

    assert STALE in console.post(CREDITS, data).content.decode()
    asset.refresh_from_db()
    assert asset.expires_at == SOON


def test_other_values_than_those_previewed_are_previewed_first(console: Client, issue: Issue, preview: Preview) -> None:
    asset = issue(expires_at=SOON)
    data = preview("extend", asset, last_day="2090-01-01")

    assert STALE in console.post(CREDITS, data | {"last_day": "2099-01-01"}).content.decode()


def ends() -> list[datetime | None]:
    """Return the ends of the recreated credits."""
    return list(CashbackAsset.objects.filter(generation=2).values_list("expires_at", flat=True))


def expired_one_by_one(ada: User, assets: list[CashbackAsset]) -> list[CashbackAsset]:
    return [edit_asset.expire_asset(asset.pk, ada) for asset in assets]


def test_an_offer_that_is_recreated_together_has_one_end(console: Client, ada: User, issue: Issue, preview: Preview) -> None:
    assets = [issue(expires_at=timezone.now() + timedelta(days=30)) for _ in range(12)]  # microseconds apart
    expired_one_by_one(ada, assets)

    console.post(CREDITS, preview("recreate", *assets))

    assert len(ends()) == 12
    assert len(set(ends())) == 1
    assert abs(ends()[0] - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)  # type: ignore[operator]


def test_credits_that_ended_with_a_day_end_with_a_day_again(
    console: Client, ada: User, open_pool: OpenPool, issue: Issue, preview: Preview
) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    pool, today = open_pool(time_zone=zone.key), timezone.now().astimezone(zone).date()
    assets = [issue(pool=pool, expires_at=today + timedelta(days=10)) for _ in range(3)]
    expired_one_by_one(ada, assets)

    with time_machine.travel(timezone.now() + timedelta(days=4, minutes=2)):
        again = timezone.now().astimezone(zone).date()
        children = [recreate_asset.recreate_asset(asset.pk, ada) for asset in assets]

    assert {child.expires_at for child in children} == {pool.end_of(again + timedelta(days=10))}
    local = children[0].expires_at.astimezone(zone)  # type: ignore[union-attr]
    assert (local.hour, local.minute, local.second) == (0, 0, 0)


def test_days_are_counted_across_a_change_of_the_clocks(ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(time_zone="Europe/Berlin")
    parent = CashbackAsset(
        pool=pool, created_at=datetime(2027, 3, 20, 12, tzinfo=UTC), expires_at=pool.end_of(date(2027, 4, 2))
    )

    end = recreate_asset.end_after_same_lifetime(parent, datetime(2027, 10, 25, 12, tzinfo=UTC))

    assert end == pool.end_of(date(2027, 11, 7))


def test_offers_of_different_durations_keep_theirs_and_credits_without_an_end_stay_without(
    console: Client, ada: User, issue: Issue, preview: Preview
) -> None:
    today = timezone.now().date()
    assets = [
        *(issue(expires_at=today + timedelta(days=3)) for _ in range(2)),
        *(issue(expires_at=today + timedelta(days=9)) for _ in range(2)),
        issue(),
    ]
    expired_one_by_one(ada, assets)

    console.post(CREDITS, preview("recreate", *assets))

    days = sorted((end.date() - timezone.now().date()).days for end in ends() if end)
    assert (days, ends().count(None)) == ([4, 4, 10, 10], 1)


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ({"last_day": "2090-01-01"}, datetime(2090, 1, 2, tzinfo=UTC)),
        ({"expires_at_0": "2090-01-01", "expires_at_1": "18:30"}, datetime(2090, 1, 1, 18, 30, tzinfo=UTC)),
    ],
)
def test_the_end_of_recreated_credits_can_be_chosen(
    *, console: Client, ada: User, issue: Issue, preview: Preview, answers: dict[str, str], end: datetime
) -> None:
    assets = expired_one_by_one(ada, [issue(expires_at=SOON), issue()])

    data = preview("recreate", *assets, **answers)
    shown = console.post(CREDITS, data | {"preview": ""}).content.decode()
    console.post(CREDITS, data)

    assert ends() == [end, end]
    assert shown.count(f"Recreated</span>, until {end:%Y-%m-%d %H:%M:%S} UTC") == 2


@pytest.mark.parametrize(
    "answers",
    [{"last_day": "03/04/2090"}, {"last_day": "2090-01-01", "expires_at_0": "2090-01-01", "expires_at_1": "18:30"}],
)
def test_an_unreadable_end_recreates_nothing(
    *, console: Client, ada: User, issue: Issue, preview: Preview, answers: dict[str, str]
) -> None:
    (asset,) = expired_one_by_one(ada, [issue(expires_at=SOON)])

    answer = console.post(CREDITS, preview("recreate", asset) | answers)

    assert answer.context["form"].errors
    assert ends() == []


def test_an_end_in_the_past_is_refused_in_the_preview(console: Client, ada: User, issue: Issue, preview: Preview) -> None:
    (asset,) = expired_one_by_one(ada, [issue(expires_at=SOON)])
    data = {"action": "recreate", "_selected_action": str(asset.pk), "asked": "yes", "last_day": "2001-01-01"}

    answer = console.post(CREDITS, data)

    assert [row.refusal for row in answer.context["rows"]] == ["That date is in the past."]


def test_a_duration_beyond_the_calendar_is_refused_in_words(console: Client, ada: User, issue: Issue) -> None:
    (asset,) = expired_one_by_one(ada, [issue(expires_at=issue_assets.MAX_EXPIRY - timedelta(seconds=1))])

    with time_machine.travel(timezone.now() + timedelta(days=900)):
        refusal = recreate_asset.end_after_same_lifetime(asset, timezone.now())

    assert refusal == issue_assets.MAX_EXPIRY
    with pytest.raises(ValidationError, match="too far in the future"):
        issue_assets.resolve_expiry(refusal, None)


def upload(console: Client, pool: CreditPool) -> Any:
    lines = f"title,total_value,currency,pool,expires_at\nTea,1,,{pool.name},2090-03-31\n"
    return console.post(f"{CREDITS}import/", {"file": SimpleUploadedFile("c.csv", lines.encode())})


@pytest.mark.parametrize(
    ("change", "shown"),
    [({"currency": "JPY"}, "1\N{NO-BREAK SPACE}JPY"), ({"time_zone": "Asia/Kolkata"}, "1.00\N{NO-BREAK SPACE}INR")],
)
def test_an_import_whose_pool_changed_after_the_preview_is_previewed_anew(
    *, console: Client, ada: User, open_pool: OpenPool, change: dict[str, Any], shown: str
) -> None:
    pool = open_pool()
    key = upload(console, pool).context["key"]
    edit_pool.update_pool(pool.pk, ada, **change)

    answer = console.post(f"{CREDITS}import/confirm/", {"key": key})

    assert "Nothing was imported: something changed after this preview." in answer.content.decode()
    assert not CashbackAsset.objects.exists()
    assert answer.context["values"] == [shown]
    console.post(f"{CREDITS}import/confirm/", {"key": answer.context["key"]})
    assert CashbackAsset.objects.get().currency == change.get("currency", "INR")


def test_an_import_whose_pool_was_renamed_after_the_preview_says_what_is_wrong(
    console: Client, ada: User, open_pool: OpenPool
) -> None:
    pool = open_pool()
    key = upload(console, pool).context["key"]
    edit_pool.update_pool(pool.pk, ada, name="Holi")

    answer = console.post(f"{CREDITS}import/confirm/", {"key": key})

    assert [mistake.column for mistake in answer.context["mistakes"]] == ["pool"]
    assert not CashbackAsset.objects.exists()


@pytest.mark.parametrize("change", [{"currency": "JPY"}, {"time_zone": "Asia/Kolkata"}, {"name": "Holi"}])
def test_credits_are_not_issued_in_a_pool_that_is_another_than_the_form_showed(
    console: Client, ada: User, open_pool: OpenPool, change: dict[str, Any]
) -> None:
    pool = open_pool()
    url = reverse("admin:assets_creditpool_issue", args=[pool.pk])
    form = Inputs(console.get(url).content.decode()).data | {"count": "2", "title": "Tea", "total_value": "1"}
    edit_pool.update_pool(pool.pk, ada, **change)

    answer = console.post(url, form)

    assert "The pool was changed after you opened this form, so nothing was issued." in answer.content.decode()
    assert next(iter(change.values())) in answer.content.decode()
    assert not CashbackAsset.objects.exists()
    again = Inputs(answer.content.decode()).data
    assert (again["title"], again["total_value"]) == ("Tea", "1")
    assert console.post(url, again | {"confirmed": "yes"}).status_code == 302
    assert CashbackAsset.objects.count() == 2


def test_another_change_of_the_pool_does_not_stop_the_issue(console: Client, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool()
    url = reverse("admin:assets_creditpool_issue", args=[pool.pk])
    form = Inputs(console.get(url).content.decode()).data | {"count": "2", "title": "Tea", "total_value": "1"}
    edit_pool.update_pool(pool.pk, ada, per_user_limit=2)

    assert console.post(url, form | {"confirmed": "yes"}).status_code == 302


def test_a_credit_that_changed_after_the_question_is_not_deleted(console: Client, ada: User, issue: Issue) -> None:
    asset = issue()
    url = reverse("admin:assets_cashbackasset_delete", args=[asset.pk])
    question = console.get(url).content.decode()
    form = Inputs(question).data
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(5000))

    refused = console.post(url, form, follow=True)

    assert "100.00\N{NO-BREAK SPACE}INR · no expiry" in question
    assert "5,000.00\N{NO-BREAK SPACE}INR · no expiry" in refused.content.decode()
    assert "This was changed after you opened the page, so it was not deleted." in refused.content.decode()
    assert CashbackAsset.objects.count() == 1
    console.post(url, Inputs(refused.content.decode()).data)
    assert CashbackAsset.objects.count() == 0
