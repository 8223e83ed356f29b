"""Acts on many chosen credits."""

from collections.abc import Callable
from typing import Any

from django.test import Client

from accounts.models import User
from tests.admin.conftest import CREDITS, told
from wallet import changing, claims
from wallet.assets.models import CashbackAsset

Issue = Callable[..., CashbackAsset]
Choose = Callable[..., Any]


def statuses() -> list[str]:
    return sorted(CashbackAsset.objects.values_list("status", flat=True))


def test_an_act_is_asked_for_before_it_is_done(choose: Choose, issue: Issue) -> None:
    answer = choose("expire", issue(), confirmed=False)

    assert answer.status_code == 200
    assert "Expire 1 credit?" in answer.content.decode()
    assert 'href="/admin/assets/cashbackasset/"' in answer.content.decode()
    assert "This cannot be undone" in answer.content.decode()
    assert statuses() == ["AVAILABLE"]


def test_the_available_expire_and_the_others_are_told_by_reason(choose: Choose, ada: User, alice: User, issue: Issue) -> None:
    claimed, ended = issue(), issue()
    claims.claim(claimed.pk, alice)
    changing.expire(ended.pk, ada)

    answer = choose("expire", issue(), issue(), claimed, ended)

    assert told(answer) == [
        "2 credits expired.",
        f"1 not expired: This credit is EXPIRED. {changing.AssetNotAvailable.detail}",
        f"1 not expired: This credit is CLAIMED. {changing.AssetNotAvailable.detail}",
    ]
    assert statuses() == ["CLAIMED", "EXPIRED", "EXPIRED", "EXPIRED"]


def test_the_expired_are_recreated_once(choose: Choose, ada: User, issue: Issue) -> None:
    ended = [changing.expire(issue().pk, ada) for _ in range(2)]

    first, second = choose("recreate", *ended, issue()), choose("recreate", *ended)

    assert told(first) == [
        "2 credits recreated.",
        "1 not recreated: Only an EXPIRED credit can be recreated. Expire it first, or issue a new one.",
    ]
    assert "2 not recreated: This credit was recreated before." in told(second)[-1]
    assert set(CashbackAsset.objects.filter(generation=2).values_list("recreated_from", flat=True)) == {a.pk for a in ended}


def test_what_nobody_owns_is_deleted_and_the_rest_stays(choose: Choose, alice: User, issue: Issue) -> None:
    claimed = issue()
    claims.claim(claimed.pk, alice)

    answer = choose("delete_chosen", issue(), issue(), claimed)

    assert told(answer) == [
        "2 credits deleted.",
        "1 not deleted: This credit is CLAIMED: it belongs to its owner for ever and cannot be deleted.",
    ]
    assert CashbackAsset.objects.get() == claimed


def test_djangos_own_bulk_delete_is_not_there(roots: Client, issue: Issue) -> None:
    asset = issue()

    roots.post(CREDITS, {"action": "delete_selected", "_selected_action": [str(asset.pk)], "post": "yes"})

    assert CashbackAsset.objects.get() == asset


def test_more_than_can_be_done_at_once_is_refused_whole(console: Client, ada: User, issue: Issue) -> None:
    first = issue()
    CashbackAsset.objects.bulk_create(CashbackAsset(title="x", total_value=1, currency="INR") for _ in range(500))

    data = {"action": "expire", "_selected_action": [str(first.pk)], "select_across": "1", "confirmed": "yes"}
    answer = console.post(CREDITS, data)

    assert told(answer) == ["Choose at most 500 at once: narrow the list by its filters. Nothing was changed."]
    assert not CashbackAsset.objects.filter(status="EXPIRED").exists()


def test_all_that_a_filter_shows_are_asked_for_by_their_ids(console: Client, issue: Issue) -> None:
    wanted = {str(issue(title="tea").pk) for _ in range(3)}
    issue(title="coffee")

    data = {"action": "expire", "_selected_action": [min(wanted)], "select_across": "1", "index": "0"}
    answer = console.post(f"{CREDITS}?q=tea", data)

    assert {str(pk) for pk in answer.context["ids"]} == wanted


def test_a_row_that_is_no_id_breaks_nothing(console: Client, issue: Issue) -> None:
    issue()

    answer = console.post(CREDITS, {"action": "expire", "_selected_action": ["no-uuid"], "confirmed": "yes"})

    assert answer.status_code == 302
    assert statuses() == ["AVAILABLE"]
