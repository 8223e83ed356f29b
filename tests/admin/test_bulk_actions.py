"""Bulk actions on selected credits: preview, confirmation and outcome."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.admin.conftest import CREDITS, message_texts
from wallet.actions import edit_asset, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

Issue = Callable[..., CashbackAsset]
Choose = Callable[..., Any]


def statuses() -> list[str]:
    return sorted(CashbackAsset.objects.values_list("status", flat=True))


def test_bulk_action_asks_for_confirmation(choose: Choose, issue: Issue) -> None:
    answer = choose("expire", issue(), confirmed=False)

    assert answer.status_code == 200
    assert "Expire 1 credit?" in answer.content.decode()
    assert 'href="/admin/assets/cashbackasset/"' in answer.content.decode()
    assert "This cannot be undone" in answer.content.decode()
    assert statuses() == ["AVAILABLE"]


def test_available_credits_expire_and_refusals_are_counted_by_reason(
    choose: Choose, ada: User, alice: User, issue: Issue
) -> None:
    claimed, ended = issue(), issue()
    claim_asset(claimed.pk, alice)
    edit_asset.expire_asset(ended.pk, ada)

    answer = choose("expire", issue(), issue(), claimed, ended)

    assert message_texts(answer) == [
        "2 credits expired.",
        f"1 not expired: This credit is EXPIRED. {edit_asset.AssetNotAvailable.detail}",
        f"1 not expired: This credit is CLAIMED. {edit_asset.AssetNotAvailable.detail}",
    ]
    assert statuses() == ["CLAIMED", "EXPIRED", "EXPIRED", "EXPIRED"]


def test_expired_credits_are_recreated_once(choose: Choose, ada: User, issue: Issue) -> None:
    ended = [edit_asset.expire_asset(issue().pk, ada) for _ in range(2)]

    first, second = choose("recreate", *ended, issue()), choose("recreate", *ended)

    assert message_texts(first) == [
        "2 credits recreated.",
        "1 not recreated: Only an EXPIRED credit can be recreated. Expire it first, or issue a new one.",
    ]
    assert "2 not recreated: Already recreated." in message_texts(second)[-1]
    assert set(CashbackAsset.objects.filter(generation=2).values_list("recreated_from", flat=True)) == {a.pk for a in ended}


def test_unclaimed_credits_are_deleted_and_claimed_ones_kept(choose: Choose, alice: User, issue: Issue) -> None:
    claimed = issue()
    claim_asset(claimed.pk, alice)

    answer = choose("delete_chosen", issue(), issue(), claimed)

    assert message_texts(answer) == [
        "2 credits deleted.",
        "1 not deleted: This credit has been claimed and can't be deleted.",
    ]
    assert CashbackAsset.objects.get() == claimed


def test_bulk_delete_of_django_is_disabled(root_client: Client, issue: Issue) -> None:
    asset = issue()

    root_client.post(CREDITS, {"action": "delete_selected", "_selected_action": [str(asset.pk)], "post": "yes"})

    assert CashbackAsset.objects.get() == asset


def test_selection_above_the_limit_is_refused_as_a_whole(console: Client, ada: User, issue: Issue) -> None:
    first = issue()
    CashbackAsset.objects.bulk_create(CashbackAsset(title="x", total_value=1, currency="INR") for _ in range(500))

    data = {"action": "expire", "_selected_action": [str(first.pk)], "select_across": "1", "confirmed": "yes"}
    answer = console.post(CREDITS, data)

    assert message_texts(answer) == ["Select at most 500 at once; use the filters to narrow the list. Nothing was changed."]
    assert not CashbackAsset.objects.filter(status="EXPIRED").exists()


def test_select_across_confirms_every_filtered_credit_by_id(console: Client, issue: Issue) -> None:
    wanted = {str(issue(title="tea").pk) for _ in range(3)}
    issue(title="coffee")

    data = {"action": "expire", "_selected_action": [min(wanted)], "select_across": "1", "index": "0"}
    answer = console.post(f"{CREDITS}?q=tea", data)

    assert {str(pk) for pk in answer.context["ids"]} == wanted


def test_malformed_id_changes_nothing(console: Client, issue: Issue) -> None:
    issue()

    answer = console.post(CREDITS, {"action": "expire", "_selected_action": ["no-uuid"], "confirmed": "yes"})

    assert answer.status_code == 302
    assert statuses() == ["AVAILABLE"]


def test_preview_lists_refusals_with_their_reasons(
    choose: Choose, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    free, owned = issue(title="Lamp"), issue(title="Tea")
    claim_asset(owned.pk, alice)

    with django_assert_num_queries(
        8
    ):  # session, person, the filter's pools, the list's two counts, the ids, the rows, their children
        answer = choose("expire", free, owned, confirmed=False)

    refusal = f"This credit is CLAIMED. {edit_asset.AssetNotAvailable.detail}"
    assert [(row.asset.title, row.refusal) for row in answer.context["rows"]] == [("Lamp", None), ("Tea", refusal)]
    assert answer.context["refused"] == [(refusal, 1)]
    assert "Expire 1 credit" in answer.content.decode()


def test_confirmation_is_not_offered_when_every_row_would_be_refused(choose: Choose, issue: Issue) -> None:
    answer = choose("recreate", issue(), confirmed=False)

    assert not answer.context["ready"]
    assert 'name="confirmed"' not in answer.content.decode()


def test_preview_agrees_with_the_outcome_of_each_action(choose: Choose, ada: User, alice: User, issue: Issue) -> None:
    claimed, ended, parent = issue(), edit_asset.expire_asset(issue().pk, ada), edit_asset.expire_asset(issue().pk, ada)
    claim_asset(claimed.pk, alice)
    recreate_asset.recreate_asset(parent.pk, ada)

    for action in ("expire", "recreate", "delete_chosen"):
        chosen = [issue(), claimed, ended, parent]
        foreseen = Counter(row.refusal for row in choose(action, *chosen, confirmed=False).context["rows"] if row.refusal)
        messages = message_texts(choose(action, *chosen))
        assert sorted(int(text.split()[0]) for text in messages if " not " in text) == sorted(foreseen.values()), action
        assert all(any(text.endswith(reason) for text in messages) for reason in foreseen), action


SOON, LATER = datetime(2040, 1, 1, tzinfo=UTC), datetime(2040, 2, 1, tzinfo=UTC)


@pytest.fixture
def extend(console: Client) -> Callable[..., Any]:
    """Select credits, fill in the new expiry, and confirm it unless `confirmed` is False."""

    def send(*chosen: CashbackAsset, confirmed: bool = True, **answers: str) -> Any:
        data: dict[str, Any] = {"action": "extend", "_selected_action": [str(asset.pk) for asset in chosen]}
        return console.post(
            CREDITS, data | {"asked": "yes", **answers} | ({"confirmed": "yes"} if confirmed else {"index": "0"})
        )

    return send


def end_of(asset: CashbackAsset) -> datetime | None:
    return CashbackAsset.objects.get(pk=asset.pk).expires_at


def test_extend_asks_for_the_new_expiry_first(choose: Choose, issue: Issue) -> None:
    asset = issue(expires_at=SOON)

    answer = choose("extend", asset, confirmed=False)

    assert "Preview" in answer.content.decode()
    assert 'name="last_day"' in answer.content.decode()
    assert end_of(asset) == SOON


def test_extend_previews_the_new_expiry(extend: Choose, issue: Issue) -> None:
    soon, later, never = issue(expires_at=SOON), issue(expires_at=LATER), issue()

    answer = extend(soon, later, never, confirmed=False, last_day="2040-01-15")

    assert [row.refusal is None for row in answer.context["rows"]] == [True, False, False]
    assert "Extend 1 credit" in answer.content.decode()
    assert "the end of 2040-01-15 in each pool's time zone" in answer.content.decode()
    assert [end_of(asset) for asset in (soon, later, never)] == [SOON, LATER, None]


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ({"last_day": "2040-01-31"}, LATER),
        ({"expires_at_0": "2040-01-15", "expires_at_1": "10:30:00"}, datetime(2040, 1, 15, 10, 30, tzinfo=UTC)),
        ({"never": "on"}, None),
    ],
)
def test_credit_is_extended_to_a_date_a_time_or_no_expiry(
    extend: Choose, issue: Issue, answers: dict[str, str], end: datetime | None
) -> None:
    asset = issue(expires_at=SOON)

    answer = extend(asset, **answers)

    assert message_texts(answer) == ["1 credit extended."]
    assert end_of(asset) == end


def test_extend_never_shortens_an_expiry(extend: Choose, issue: Issue) -> None:
    later, never = issue(expires_at=LATER), issue()

    answer = extend(later, never, last_day="2040-01-15")

    assert message_texts(answer) == ["2 not extended: This never shortens an expiry. Choose a later date."]
    assert (end_of(later), end_of(never)) == (LATER, None)


@pytest.mark.parametrize(
    "answers", [{}, {"last_day": "2040-01-31", "never": "on"}, {"last_day": "31/1"}, {"expires_at_0": "2040-01-15"}]
)
def test_extend_without_exactly_one_expiry_changes_nothing(extend: Choose, issue: Issue, answers: dict[str, str]) -> None:
    asset = issue(expires_at=SOON)

    answer = extend(asset, **answers)

    assert answer.context["form"].errors
    assert end_of(asset) == SOON


def test_extend_to_a_past_date_is_refused(extend: Choose, issue: Issue) -> None:
    assert "1 not extended: That date is in the past" in message_texts(extend(issue(expires_at=SOON), last_day="2020-01-01"))[0]
