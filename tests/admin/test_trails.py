"""The change history of pools and credits: actor, time, channel, and values before and after."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pghistory.models import Context

from accounts.models import User
from wallet.actions import edit_asset, edit_pool, expire_assets, recreate_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool, Issuance

AssetEvent: Any = CashbackAsset.pgh_event_model  # type: ignore[attr-defined]
CHANGES, ISSUED = reverse("admin:assets_cashbackassetevent_changelist"), reverse("admin:assets_issuance_changelist")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def trail(browser: Client, row: CreditPool | CashbackAsset) -> list[tuple[Any, ...]]:
    """Return (action, who, channel, {field: (before, after)}) of each line on the row's History page."""
    lines = browser.get(reverse(f"admin:assets_{row._meta.model_name}_history", args=[row.pk])).context["lines"]
    return [
        (
            line["change"].action,
            line["change"].who,
            line["change"].channel,
            {field["name"]: (field["before"], field["after"]) for field in line["fields"]},
        )
        for line in lines
    ]


def test_pool_history_shows_each_field_before_and_after(console: Client, ada: User, open_pool: OpenPool) -> None:
    pool = open_pool(name="Diwali", per_user_limit=1)
    edit_pool.update_pool(pool.pk, ada, per_user_limit=None, name="Holi")

    latest, first = trail(console, pool)

    assert latest == ("update", "ada@example.com", "shell", {"name": ("Diwali", "Holi"), "per user limit": ("1", "none")})
    assert first[:3] == ("open", "ada@example.com", "shell")
    assert first[3]["name"] == ("none", "Diwali")


def test_first_change_of_a_credit_shows_its_values_when_issued(
    console: Client, ada: User, open_pool: OpenPool, issue: Issue
) -> None:
    asset = issue(title="Lamp", pool=open_pool(name="Diwali"))
    edit_asset.update_asset(asset.pk, ada, title="Candle", total_value=Decimal("7.5"), pool=open_pool(name="Holi"))
    edit_asset.update_asset(asset.pk, ada, total_value=Decimal(8))

    assert trail(console, asset) == [
        ("update", "ada@example.com", "shell", {"total value": ("7.5", "8")}),
        (
            "update",
            "ada@example.com",
            "shell",
            {"title": ("Lamp", "Candle"), "total value": ("100", "7.5"), "pool": ("Diwali", "Holi")},
        ),
        ("issue", "ada@example.com", "shell", {}),
    ]


def test_history_of_a_credit_links_its_claim_to_the_entry(console: Client, alice: User, issue: Issue) -> None:
    asset = issue()
    entry = claim_asset(asset.pk, alice).receipt["id"]

    page = console.get(reverse("admin:assets_cashbackasset_history", args=[asset.pk]))

    assert trail(console, asset)[0] == ("claim", "alice@example.com", None, {"status": ("AVAILABLE", "CLAIMED")})
    assert reverse("admin:ledger_entry_change", args=[entry]) in page.content.decode()


def test_history_shows_expiry_and_recreation(console: Client, ada: User, issue: Issue) -> None:
    parent = edit_asset.expire_asset(issue().pk, ada)
    child = recreate_asset.recreate_asset(parent.pk, ada)

    assert [line[0] for line in trail(console, parent)] == ["recreate", "expire", "issue"]
    assert trail(console, parent)[1][3] == {"status": ("AVAILABLE", "EXPIRED")}
    assert [line[0] for line in trail(console, child)] == ["issue"]


def test_change_by_the_scheduler_has_no_actor(console: Client) -> None:
    (asset,) = CashbackAsset.objects.bulk_create(
        [CashbackAsset(title="x", total_value=1, currency="INR", expires_at=timezone.now())]
    )
    expire_assets.expire_due()

    assert trail(console, asset)[0][:2] == ("expire due", None)


def test_change_by_manual_sql_shows_the_previous_values(console: Client, issue: Issue, open_pool: OpenPool) -> None:
    asset = issue(title="Lamp", pool=open_pool(name="Diwali"))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE assets_cashbackasset SET title = 'Forged', total_value = 12.34, pool_id = NULL,"
            " expires_at = '2040-01-01T05:30+05:30' WHERE id = %s",
            [asset.pk],
        )

    assert trail(console, asset)[0][3] == {
        "title": ("Lamp", "Forged"),
        "total value": ("100", "12.34"),
        "pool": ("Diwali", "none"),
        "expires at": ("none", "2040-01-01 00:00:00 UTC"),
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [({"action": "update", "before": {"title": "Lamp"}}, ("Lamp", "Welcome bonus")), ({}, ("not recorded", "Welcome bonus"))],
)
def test_oldest_changes_show_the_previous_values_given_by_their_action(
    console: Client, issue: Issue, said: dict[str, Any], shown: tuple[str, str]
) -> None:
    """PostgreSQL did not always keep it."""
    asset = issue()
    context = Context.objects.create(metadata=said)
    kept = {field.attname for field in AssetEvent._meta.concrete_fields}
    columns = {name: getattr(asset, name) for field in CashbackAsset._meta.concrete_fields if (name := field.attname) in kept}
    AssetEvent.objects.create(pgh_label="update", pgh_obj_id=asset.pk, pgh_context=context, **columns)

    assert trail(console, asset)[0][3]["title"] == shown


def test_deletion_is_listed_in_the_change_log(console: Client, ada: User, issue: Issue) -> None:
    edit_asset.delete_asset(issue(title="Lamp").pk, ada)

    page = console.get(CHANGES, {"action": "delete", "q": "ada@"}).content.decode()

    assert "Lamp" in page
    assert "ada@example.com" in page


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"action": "expire"}, 1),
        ({"action": "delete"}, 0),
        ({"channel": "shell"}, 2),
        ({"channel": "api"}, 0),
        ({"currency": "JPY"}, 0),
    ],
)
def test_change_log_is_filtered(console: Client, ada: User, issue: Issue, query: dict[str, str], count: int) -> None:
    asset = issue()
    edit_asset.update_asset(asset.pk, ada, title="other")
    edit_asset.expire_asset(asset.pk, ada)

    assert len(console.get(CHANGES, query).context["cl"].result_list) == count


def test_issue_history_shows_issuer_and_channel(console: Client, ada: User, open_pool: OpenPool, issue: Issue) -> None:
    issue(pool=open_pool(name="Diwali"))

    page = console.get(ISSUED, {"q": "diwali"}).content.decode()

    assert "100.00\N{NO-BREAK SPACE}INR" in page
    assert "ada@example.com" in page
    assert len(console.get(ISSUED, {"channel": "api"}).context["cl"].result_list) == 0


@pytest.mark.parametrize("room", ["assets_cashbackassetevent", "assets_issuance", "ledger_seal"])
def test_change_log_and_issue_history_are_read_only(root_client: Client, room: str) -> None:
    pages = [reverse(f"admin:{room}_changelist"), reverse(f"admin:{room}_add"), reverse(f"admin:{room}_change", args=[1])]

    for address in [*pages, reverse(f"admin:{room}_delete", args=[1])]:
        assert root_client.post(address, {"count": 9, "post": "yes"}).status_code == 403, address


def test_history_page_refuses_post(root_client: Client, open_pool: OpenPool) -> None:
    assert root_client.post(reverse("admin:assets_creditpool_history", args=[open_pool().pk])).status_code == 403


def test_issue_history_row_has_no_change_page(root_client: Client, issue: Issue) -> None:
    issue()

    page = root_client.get(reverse("admin:assets_issuance_change", args=[Issuance.objects.get().pk])).content.decode()

    assert 'name="_save"' not in page
