"""Credits from an uploaded file: checked, shown, then all or none."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.admin.conftest import told
from wallet.admin.import_csv import MAX_UPLOAD_BYTES
from wallet.assets.models import CashbackAsset, CreditPool, Issuance

IMPORT, CONFIRM = reverse("admin:assets_cashbackasset_import"), reverse("admin:assets_cashbackasset_import_confirm")
HEADER = "title,total_value,currency,pool,expires_at\n"
GOOD = f"{HEADER}Lamp,250.50,INR,,2030-03-31\nTea,12,,Diwali,\n"


def sent(browser: Client, content: str | bytes, **more: str) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return browser.post(IMPORT, {"file": SimpleUploadedFile("credits.csv", data), **more})


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    return open_pool(name="Diwali")


def test_a_file_is_shown_before_anything_is_issued(console: Client, pool: CreditPool) -> None:
    answer = sent(console, GOOD)

    assert [(row["title"], row["value"]) for row in answer.context["first"]] == [
        ("Lamp", "250.50\N{NO-BREAK SPACE}INR"),
        ("Tea", "12.00\N{NO-BREAK SPACE}INR"),
    ]
    assert answer.context["values"] == ["262.50\N{NO-BREAK SPACE}INR"]
    assert CashbackAsset.objects.count() == 0


def test_what_was_shown_is_imported_when_the_operator_says_so(console: Client, pool: CreditPool) -> None:
    key = sent(console, GOOD).context["key"]

    answer = console.post(CONFIRM, {"key": key})

    assert told(answer) == ["2 credits imported."]
    made = CashbackAsset.objects.order_by("title").values_list("title", "total_value", "pool", "created_by__email")
    assert list(made) == [("Lamp", 250.5, None, "ada@example.com"), ("Tea", 12, pool.pk, "ada@example.com")]
    assert set(Issuance.objects.values_list("channel", flat=True)) == {"admin"}


def test_a_form_sent_twice_imports_once(console: Client, pool: CreditPool) -> None:
    key = sent(console, GOOD).context["key"]
    console.post(CONFIRM, {"key": key})

    answer = console.post(CONFIRM, {"key": key})

    assert "imported already" in told(answer)[-1]
    assert CashbackAsset.objects.count() == 2


def test_the_lines_that_name_no_pool_get_the_chosen_one(console: Client, pool: CreditPool) -> None:
    key = sent(console, "title,total_value,currency,expires_at\nLamp,5,,\n", pool=str(pool.pk)).context["key"]

    console.post(CONFIRM, {"key": key})

    assert CashbackAsset.objects.get().pool == pool


def test_every_mistake_is_told_by_line_and_column_and_nothing_put_aside(console: Client, pool: CreditPool) -> None:
    before = Session.objects.count()

    answer = sent(console, f"{HEADER}Lamp,x,INR,,\nTea,1,,Nope,never\n")

    assert answer.context["refusal"] == "Nothing was imported: 3 mistakes in the file."
    assert [(mistake.line, mistake.column) for mistake in answer.context["mistakes"]] == [
        (2, "total_value"),
        (3, "pool"),
        (3, "expires_at"),
    ]
    assert (CashbackAsset.objects.count(), Session.objects.count()) == (0, before)


def test_more_mistakes_than_a_page_holds_are_counted(console: Client) -> None:
    answer = sent(console, HEADER + "Lamp,x,INR,,\n" * 60)

    assert (len(answer.context["mistakes"]), answer.context["more"]) == (50, 10)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "The submitted file is empty."),
        (HEADER, "There is no credit in this file"),
        (b"\xff\xfe\x00", "1 mistake in the file"),
        ("x" * (MAX_UPLOAD_BYTES + 1), "larger than 1 MB"),
    ],
)
def test_what_is_no_such_file_is_refused(console: Client, content: str | bytes, what: str) -> None:
    assert what in sent(console, content).content.decode()


def test_a_body_far_beyond_the_limit_is_not_read(console: Client) -> None:
    assert sent(console, b"x" * (MAX_UPLOAD_BYTES + 64 * 1024)).status_code == 413


def test_a_pool_that_changed_meanwhile_changes_nothing_half_way(
    console: Client, pool: CreditPool, open_pool: Callable[..., CreditPool]
) -> None:
    key = sent(console, f"{HEADER}Lamp,5,INR,,\nTea,12,,Diwali,\n").context["key"]
    CreditPool.objects.filter(pk=pool.pk).update(name="Holi")

    answer = console.post(CONFIRM, {"key": key})

    assert "Nothing was imported" in told(answer)[-1]
    assert CashbackAsset.objects.count() == 0


def test_nobody_imports_what_another_put_aside(console: Client, roots: Client, pool: CreditPool) -> None:
    key = sent(console, GOOD).context["key"]

    answer = roots.post(CONFIRM, {"key": key})

    assert "Nothing was done" in told(answer)[-1]
    assert CashbackAsset.objects.count() == 0


def test_a_session_of_somebody_is_no_file(console: Client, pool: CreditPool) -> None:
    answer = console.post(CONFIRM, {"key": console.cookies["sessionid"].value})

    assert "Nothing was done" in told(answer)[-1]
    assert console.get(IMPORT).status_code == 200


def test_a_confirmation_is_sent_not_fetched(console: Client) -> None:
    assert console.get(CONFIRM).status_code == 403
