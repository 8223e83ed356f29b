"""`manage.py seed`."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from accounts.models import User
from tests.concurrency import at_once
from wallet.actions import demo_payments
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Movement, Payment
from wallet.ledger.payment_state import PaymentState
from wallet.management.commands.seed import demo_password
from wallet.programme.models import GrantRule
from wallet.queries.payment_receipt import payment_figures
from wallet.queries.wallet_balances import wallet_balances

Command = Callable[..., str]
SIGN_IN = re.compile(r"^  (\S+@\S+) +(\S+) +(USER|ADMIN)$", re.MULTILINE)


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (User, CreditPool, CashbackAsset, Entry, Payment, Movement))


def test_seed_creates_a_pool_of_each_kind_with_its_own_credits_and_limit(command: Command) -> None:
    command("seed")

    pools = CreditPool.objects.order_by("kind", "per_user_limit").values_list("kind", "currency", "per_user_limit")
    assert list(pools) == [("PROMOTION", "INR", None), ("REFERRAL", "INR", 5), ("REFERRAL", "INR", 20), ("SIGNUP", "INR", 1)]
    assert set(CashbackAsset.objects.values_list("currency", flat=True)) == {"INR", "USD"}
    assert set(CashbackAsset.objects.values_list("status", flat=True)) == {"AVAILABLE", "CLAIMED", "EXPIRED"}


def test_seeded_claims_have_ledger_entries(command: Command) -> None:
    command("seed")

    claimed = CashbackAsset.objects.filter(status="CLAIMED")
    assert Entry.objects.count() == claimed.count() == 5
    assert {entry.user.email for entry in Entry.objects.all()} == {"meera@example.com", "arjun@example.com"}


def test_one_credit_was_expired_and_recreated(command: Command) -> None:
    command("seed")

    child = CashbackAsset.objects.get(generation=2)
    assert child.recreated_from is not None
    assert (child.status, child.recreated_from.status) == ("AVAILABLE", "EXPIRED")


@pytest.mark.django_db(transaction=True)
def test_there_is_a_payment_in_every_state(command: Command) -> None:
    command("seed")
    states = [payment_figures(payment).state(timezone.now()) for payment in Payment.objects.all()]
    in_a_minute = [payment_figures(payment).state(timezone.now() + timedelta(seconds=61)) for payment in Payment.objects.all()]

    assert sorted(in_a_minute) == sorted(PaymentState)
    assert states.count(PaymentState.HELD) == 2, "the hold that ends is still alive"
    assert {payment.service.name for payment in Payment.objects.all()} == {"Demo shop"}


def test_seeded_wallets_have_credit_that_ends_soon_and_credit_that_is_pending(command: Command) -> None:
    command("seed")
    meera, arjun = (wallet_balances(User.objects.get(email=f"{name}@example.com").pk)[0] for name in ("meera", "arjun"))

    assert arjun["ending_soon"] > 0
    assert arjun["pending"] > 0
    assert meera["available"] >= 250, "enough to try the demo shop"


def test_interrupted_payments_are_completed_by_the_next_run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    made = demo_payments.PAYMENTS
    monkeypatch.setattr(demo_payments, "PAYMENTS", made[:3])
    command("seed")
    monkeypatch.setattr(demo_payments, "PAYMENTS", made)

    assert "Created: payments in every state." in command("seed")
    assert Payment.objects.count() == 7


def test_every_printed_user_can_sign_in(command: Command) -> None:
    printed = SIGN_IN.findall(command("seed"))

    assert [(email, role) for email, _, role in printed] == [
        ("meera@example.com", "USER"),
        ("arjun@example.com", "USER"),
        ("admin@example.com", "ADMIN"),
    ]
    for email, secret, role in printed:
        user = authenticate(None, username=email, password=secret)
        assert isinstance(user, User)
        assert user.role == role


def test_rules_grant_a_welcome_and_a_reward_for_a_friend(command: Command) -> None:
    command("seed")

    assert set(GrantRule.objects.values_list("event", "pool__name", "is_active")) == {
        ("EMAIL_VERIFIED", "Welcome bonus", True),
        ("FRIEND_FIRST_PAYMENT", "Friend rewards", True),
    }


def test_a_second_run_adds_nothing_and_prints_the_same_sign_ins(command: Command) -> None:
    first = command("seed")
    before = rows()

    second = command("seed")

    assert rows() == before
    assert SIGN_IN.findall(second) == SIGN_IN.findall(first)
    assert "nothing was added" in second


def test_changed_password_is_not_printed(command: Command) -> None:
    command("seed")
    meera = User.objects.get(email="meera@example.com")
    meera.set_password("her own long password")
    meera.save()

    assert ("meera@example.com", "(changed)", "USER") in SIGN_IN.findall(command("seed"))


def test_interrupted_seed_is_completed_by_the_next_run(command: Command) -> None:
    User.objects.create_user("admin@example.com", "secret", role="ADMIN")
    CreditPool.objects.create(name="Welcome bonus", kind="SIGNUP", currency="INR", per_user_limit=1)

    command("seed")

    assert CreditPool.objects.count() == 4
    assert CashbackAsset.objects.filter(pool__name="Welcome bonus").count() == 12


def test_dry_run_lists_missing_data_and_creates_nothing(command: Command) -> None:
    said = command("seed", "--dry-run")

    assert said.startswith('Would create: meera@example.com, arjun@example.com, admin@example.com, pool "Welcome bonus"')
    assert rows() == (0, 0, 0, 0, 0, 0)


def test_seed_outside_local_mode_requires_yes(command: Command, settings: LazySettings) -> None:
    settings.LOCAL = False

    with pytest.raises(CommandError, match="Pass --yes"):
        command("seed")

    assert rows() == (0, 0, 0, 0, 0, 0)


def test_outside_local_mode_a_password_is_random_and_shown_once(command: Command, settings: LazySettings) -> None:
    settings.LOCAL = False

    first, second = command("seed", "--yes"), command("seed", "--yes")

    assert len(SIGN_IN.findall(first)) == 3
    assert (first.count("(shown once)"), second.count("(shown once)")) == (0, 3)


def test_outside_local_mode_each_new_user_gets_another_password(settings: LazySettings) -> None:
    settings.LOCAL = False

    assert demo_password("meera@example.com") != demo_password("meera@example.com")


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_runs_create_one_demo() -> None:
    def run(_: Any) -> None:
        call_command("seed", stdout=io.StringIO())

    outcomes = at_once(run, range(2))
    connections.close_all()

    assert outcomes == [None, None]
    assert rows() == (3, 4, 72, 5, 7, 14)


def test_a_product_without_demo_data_has_one_operator_who_may_do_everything(command: Command) -> None:
    assert command("seed", "--admin-only", "--dry-run") == "Would create: admin@example.com.\n"
    ((email, password, role),) = SIGN_IN.findall(command("seed", "--admin-only"))

    user = authenticate(username=email, password=password)
    assert isinstance(user, User)
    assert (role, user.is_superuser, user.is_admin) == ("ADMIN", True, True)
    assert rows() == (1, 0, 0, 0, 0, 0)


def test_a_second_run_shows_the_operator_again_and_adds_nothing(command: Command) -> None:
    first, second = command("seed", "--admin-only"), command("seed", "--admin-only")

    assert SIGN_IN.findall(first) == SIGN_IN.findall(second) != []
    assert command("seed", "--admin-only", "--dry-run") == "Would create: nothing, there is an operator.\n"
    assert User.objects.count() == 1


def test_an_operator_of_somebody_elses_is_kept_and_no_other_is_made(command: Command, ada: User) -> None:
    assert "cannot be shown" in command("seed", "--admin-only")
    assert list(User.objects.all()) == [ada]
