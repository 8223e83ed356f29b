"""Errors of the console stand beside their field, in words, and never name a constraint of the database."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import CREDITS, form_data, message_texts
from wallet.assets.models import CashbackAsset, CreditPool

Issue = Callable[..., CashbackAsset]
OpenPool = Callable[..., CreditPool]
POOL = {"name": "Holi", "kind": "PROMOTION", "currency": "INR", "is_active": "on", "time_zone": "UTC"}
CREDIT = {"title": "Lamp", "total_value": "1", "currency": "INR"}
LATER = timezone.now() + timedelta(days=30)
RAW_NAME = re.compile(r"Constraint|(pool|asset|user)_[a-z]+_[a-z_]+")


def errors_of(answer: Any) -> dict[str, list[str]]:
    shown = answer.context
    form = shown["adminform"].form if "adminform" in shown else shown["form"]
    found: dict[str, list[str]] = form.errors
    assert not RAW_NAME.search(" ".join(text for texts in found.values() for text in texts))
    return found


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"per_user_limit": "0"}, "per_user_limit", "Allow at least 1 credit per user"),
        (
            {"closes_at_0": "2027-01-01", "closes_at_1": "00:00", "opens_at_0": "2027-01-01", "opens_at_1": "00:00"},
            "closes_at",
            "The pool must close after it opens.",
        ),
    ],
)
def test_a_pool_that_a_constraint_refuses_says_it_beside_the_field(
    console: Client, open_pool: OpenPool, change: dict[str, str], field: str, words: str
) -> None:
    pool = open_pool()
    for url in (reverse("admin:assets_creditpool_add"), reverse("admin:assets_creditpool_change", args=[pool.pk])):
        errors = errors_of(console.post(url, POOL | change))

        assert set(errors) == {field}
        assert words in errors[field][0]
    assert CreditPool.objects.count() == 1


def test_all_errors_of_a_pool_are_told_at_once(console: Client) -> None:
    wrong = {
        "per_user_limit": "0",
        "time_zone": "Mars/Olympus",
        "closes_at_0": "2001-01-01",
        "closes_at_1": "00:00",
        "currency": "X",
    }

    first = errors_of(console.post(reverse("admin:assets_creditpool_add"), POOL | wrong))

    assert {"time_zone", "currency"} <= set(first)
    second = errors_of(
        console.post(reverse("admin:assets_creditpool_add"), POOL | wrong | {"time_zone": "UTC", "currency": "INR"})
    )
    assert set(second) == {"per_user_limit", "closes_at"}


@pytest.mark.parametrize("change", [{"last_day": "2001-01-01"}, {"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}])
def test_a_past_end_is_refused_beside_the_field_that_it_was_typed_in(
    console: Client, open_pool: OpenPool, change: dict[str, str]
) -> None:
    field = "last_day" if "last_day" in change else "expires_at"
    batch = {"key": "0123456789abcdef", "count": "1", "title": "Lamp", "total_value": "1"} | change

    for url, data in (
        (reverse("admin:assets_cashbackasset_add"), CREDIT | change),
        (reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), batch),
    ):
        assert errors_of(console.post(url, data)) == {field: ["That date is in the past."]}


def test_an_amount_with_too_many_decimals_is_refused_beside_its_field(console: Client, open_pool: OpenPool) -> None:
    batch = {"key": "0123456789abcdef", "count": "1", "title": "Lamp", "total_value": "1.234"}

    errors = errors_of(console.post(reverse("admin:assets_creditpool_issue", args=[open_pool().pk]), batch))

    assert set(errors) == {"total_value"}


def test_an_email_that_the_database_would_refuse_is_refused_in_words(root_client: Client, alice: User) -> None:
    email = "carol@\u1c89.example"  # a capital letter that PostgreSQL knows and this Python does not
    url = reverse("admin:accounts_user_change", args=[alice.pk])

    answer = root_client.post(url, form_data(root_client.get(url), "user_form") | {"email": email})

    assert errors_of(answer) == {"email": ["Use only standard letters, numbers and symbols in the email."]}


def test_a_credit_that_would_end_before_its_pool_opens_is_refused_in_every_form(
    console: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool, words = open_pool(opens_at=LATER), "The credit would end before its pool opens"
    loose = issue(expires_at=LATER - timedelta(days=9))
    day = f"{LATER - timedelta(days=5):%Y-%m-%d}"
    change = reverse("admin:assets_cashbackasset_change", args=[loose.pk])
    batch = {"key": "0123456789abcdef", "count": "1", "title": "Lamp", "total_value": "1", "last_day": day}

    added = errors_of(console.post(reverse("admin:assets_cashbackasset_add"), CREDIT | {"pool": str(pool.pk), "last_day": day}))
    changed = errors_of(console.post(change, form_data(console.get(change), "cashbackasset_form") | {"pool": str(pool.pk)}))
    issued = errors_of(console.post(reverse("admin:assets_creditpool_issue", args=[pool.pk]), batch))

    assert [set(added), set(changed), set(issued)] == [{"last_day"}, {"expires_at"}, {"last_day"}]
    for texts in (added["last_day"], changed["expires_at"], issued["last_day"]):
        assert words in texts[0]
    assert CashbackAsset.objects.count() == 1


def test_a_pool_that_would_open_after_its_credits_end_is_refused_beside_the_opening(
    console: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    issue(pool=pool, expires_at=LATER)
    url = reverse("admin:assets_creditpool_change", args=[pool.pk])
    later = {"opens_at_0": f"{LATER + timedelta(days=1):%Y-%m-%d}", "opens_at_1": "00:00"}

    errors = errors_of(console.post(url, form_data(console.get(url), "creditpool_form") | later))

    assert set(errors) == {"opens_at"}
    assert "would end before it opens" in errors["opens_at"][0]


def test_an_imported_credit_that_would_end_before_its_pool_opens_is_a_mistake_of_its_line(
    console: Client, open_pool: OpenPool
) -> None:
    open_pool(name="Later", opens_at=LATER)
    lines = f"title,total_value,currency,pool,expires_at\nTea,1,,Later,{LATER - timedelta(days=5):%Y-%m-%d}\n"

    answer = console.post(f"{CREDITS}import/", {"file": SimpleUploadedFile("c.csv", lines.encode())})

    (mistake,) = answer.context["mistakes"]
    assert (mistake.line, mistake.column) == (2, "expires_at")
    assert "would end before its pool opens" in mistake.message
    assert message_texts(answer) == []
