"""CSV import of credits: upload, preview and confirmation."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.admin.conftest import message_texts
from wallet.admin.import_csv import MAX_UPLOAD_BYTES
from wallet.assets.batches import Batch
from wallet.assets.models import CashbackAsset, CreditPool, Issuance

IMPORT, CONFIRM = reverse("admin:assets_cashbackasset_import"), reverse("admin:assets_cashbackasset_import_confirm")
POOLS = reverse("admin:assets_cashbackasset_import_pools")
HEADER = "title,total_value,currency,pool,expires_at\n"
GOOD = f"{HEADER}Lamp,250.50,INR,,2030-03-31\nTea,12,,Diwali,\n"


def upload(browser: Client, content: str | bytes, **more: str) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return browser.post(IMPORT, {"file": SimpleUploadedFile("credits.csv", data), **more})


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    return open_pool(name="Diwali")


def test_upload_shows_a_preview_and_issues_nothing(console: Client, pool: CreditPool) -> None:
    answer = upload(console, GOOD)

    assert [(row["title"], row["value"]) for row in answer.context["first"]] == [
        ("Lamp", "250.50\N{NO-BREAK SPACE}INR"),
        ("Tea", "12.00\N{NO-BREAK SPACE}INR"),
    ]
    assert answer.context["values"] == ["262.50\N{NO-BREAK SPACE}INR"]
    assert CashbackAsset.objects.count() == 0


def test_confirmation_imports_the_previewed_file(console: Client, pool: CreditPool) -> None:
    key = upload(console, GOOD).context["key"]

    answer = console.post(CONFIRM, {"key": key})

    assert message_texts(answer) == ["2 credits imported."]
    made = CashbackAsset.objects.order_by("title").values_list("title", "total_value", "pool", "created_by__email")
    assert list(made) == [("Lamp", 250.5, None, "ada@example.com"), ("Tea", 12, pool.pk, "ada@example.com")]
    assert set(Issuance.objects.values_list("channel", flat=True)) == {"admin"}


def test_confirmation_sent_twice_imports_once(console: Client, pool: CreditPool) -> None:
    key = upload(console, GOOD).context["key"]
    console.post(CONFIRM, {"key": key})

    answer = console.post(CONFIRM, {"key": key})

    assert "already imported" in message_texts(answer)[-1]
    assert CashbackAsset.objects.count() == 2


def test_rows_without_a_pool_get_the_default_pool(console: Client, pool: CreditPool) -> None:
    key = upload(console, "title,total_value,currency,expires_at\nLamp,5,,\n", pool=str(pool.pk)).context["key"]

    console.post(CONFIRM, {"key": key})

    assert CashbackAsset.objects.get().pool == pool


def test_errors_are_listed_by_line_and_column_and_the_file_is_not_stored(console: Client, pool: CreditPool) -> None:
    before = Session.objects.count()

    answer = upload(console, f"{HEADER}Lamp,x,INR,,\nTea,1,,Nope,never\n")

    assert answer.context["refusal"] == "Nothing was imported: 3 mistakes in the file."
    assert [(mistake.line, mistake.column) for mistake in answer.context["mistakes"]] == [
        (2, "total_value"),
        (3, "pool"),
        (3, "expires_at"),
    ]
    assert (CashbackAsset.objects.count(), Session.objects.count()) == (0, before)


def test_errors_beyond_the_first_fifty_are_counted(console: Client) -> None:
    answer = upload(console, HEADER + "Lamp,x,INR,,\n" * 60)

    assert (len(answer.context["mistakes"]), answer.context["more"]) == (50, 10)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "The submitted file is empty."),
        (HEADER, "This file has no credits"),
        (b"\xff\xfe\x00", "1 mistake in the file"),
        ("x" * (MAX_UPLOAD_BYTES + 1), "larger than 1 MB"),
    ],
)
def test_empty_malformed_or_too_large_file_is_refused(console: Client, content: str | bytes, what: str) -> None:
    assert what in upload(console, content).content.decode()


def test_body_far_above_the_limit_is_refused_unread(console: Client) -> None:
    assert upload(console, b"x" * (MAX_UPLOAD_BYTES + 64 * 1024)).status_code == 413


def test_pool_renamed_after_the_preview_imports_nothing(
    console: Client, pool: CreditPool, open_pool: Callable[..., CreditPool]
) -> None:
    key = upload(console, f"{HEADER}Lamp,5,INR,,\nTea,12,,Diwali,\n").context["key"]
    CreditPool.objects.filter(pk=pool.pk).update(name="Holi")

    answer = console.post(CONFIRM, {"key": key})

    assert "Nothing was imported" in message_texts(answer)[-1]
    assert CashbackAsset.objects.count() == 0


def test_upload_of_another_operator_cannot_be_confirmed(console: Client, root_client: Client, pool: CreditPool) -> None:
    key = upload(console, GOOD).context["key"]

    answer = root_client.post(CONFIRM, {"key": key})

    assert "Nothing was done" in message_texts(answer)[-1]
    assert CashbackAsset.objects.count() == 0


def test_session_key_is_not_accepted_as_an_upload_key(console: Client, pool: CreditPool) -> None:
    answer = console.post(CONFIRM, {"key": console.cookies["sessionid"].value})

    assert "Nothing was done" in message_texts(answer)[-1]
    assert console.get(IMPORT).status_code == 200


def test_confirmation_refuses_get(console: Client) -> None:
    assert console.get(CONFIRM).status_code == 403


def test_confirmation_leads_to_the_batch_of_the_file(console: Client, pool: CreditPool) -> None:
    answer = console.post(CONFIRM, {"key": upload(console, GOOD).context["key"]})

    batch = Batch.objects.get()
    assert answer["Location"] == reverse("admin:assets_batch_change", args=[batch.pk])
    assert (batch.title, batch.file_name, batch.channel) == ("credits.csv", "credits.csv", "admin")
    assert batch.file_digest == hashlib.sha256(GOOD.encode()).hexdigest()


def test_the_same_file_is_said_before_it_is_confirmed_and_needs_a_tick(console: Client, pool: CreditPool) -> None:
    console.post(CONFIRM, {"key": upload(console, GOOD).context["key"]})
    preview = upload(console, GOOD)
    page = preview.content.decode()
    assert "The same file was imported before" in page
    assert "ada@example.com" in page
    assert reverse("admin:assets_batch_change", args=[Batch.objects.get().pk]) in page

    refused = console.post(CONFIRM, {"key": preview.context["key"]})
    assert CashbackAsset.objects.count() == 2

    console.post(CONFIRM, {"key": refused.context["key"], "again": "yes"})
    assert CashbackAsset.objects.count() == 4
    assert Batch.objects.count() == 2


def test_example_file_offers_its_missing_pools_and_creates_them_with_the_credits(console: Client) -> None:
    asked = upload(console, (settings.BASE_DIR / "examples/credits.csv").read_bytes())
    assert "3 pools do not exist: 948 lines." in asked.content.decode()
    assert [row["pool"].name for row in asked.context["pools_form"].rows()] == [
        "Festive cashback",
        "Welcome bonus",
        "Refer a friend",
    ]
    chosen = {f"create_{n}": "on" for n in range(3)} | {f"kind_{n}": "SIGNUP" for n in range(3)}
    chosen |= {f"currency_{n}": "INR" for n in range(3)} | {"time_zone": "Asia/Kolkata", "key": asked.context["key"]}

    preview = console.post(POOLS, chosen)
    assert "Pools to be created" in preview.content.decode()
    assert (CreditPool.objects.count(), CashbackAsset.objects.count()) == (0, 0)
    console.post(CONFIRM, {"key": preview.context["key"]})

    assert CashbackAsset.objects.count() == 1000
    assert set(CreditPool.objects.values_list("kind", "currency", "time_zone")) == {("SIGNUP", "INR", "Asia/Kolkata")}
    assert CreditPool.objects.count() == 3


def test_pool_that_is_not_ticked_stays_missing(console: Client) -> None:
    asked = upload(console, f"{HEADER}Lamp,5,INR,Holi,\nTea,5,INR,Diwali,\n")
    chosen = {"create_0": "on", "kind_0": "SIGNUP", "currency_0": "INR", "kind_1": "SIGNUP", "currency_1": "INR"}

    answer = console.post(POOLS, chosen | {"time_zone": "UTC", "key": asked.context["key"]})

    assert "1 pool does not exist: 1 line." in answer.content.decode()
    assert CreditPool.objects.count() == 0


def test_new_pool_needs_a_currency(console: Client) -> None:
    asked = upload(console, "title,total_value,pool\nLamp,5,Holi\n")
    chosen = {"create_0": "on", "kind_0": "SIGNUP", "currency_0": "XXX", "time_zone": "UTC", "key": asked.context["key"]}

    answer = console.post(POOLS, chosen)

    assert "currency_0" in answer.context["pools_form"].errors


def test_upload_without_its_pools_cannot_be_confirmed(console: Client) -> None:
    asked = upload(console, f"{HEADER}Lamp,5,INR,Holi,\n")

    console.post(CONFIRM, {"key": asked.context["key"]})

    assert CashbackAsset.objects.count() == 0


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_template_can_be_downloaded_and_is_understood(console: Client, file_format: str) -> None:
    template = console.get(reverse("admin:assets_cashbackasset_import_template", args=[file_format]))

    assert "attachment" in template["Content-Disposition"]
    assert upload(console, template.content).context["contents"].count == 1


def test_unknown_template_format_is_not_found(console: Client) -> None:
    assert console.get(reverse("admin:assets_cashbackasset_import_template", args=["pdf"])).status_code == 404
