"""What is due is granted once, however often and wherever the scheduler runs, and waits while its pool has nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from tests.actions.test_scheduled import let_a_day_pass
from tests.concurrency import at_once
from tests.programme.conftest import Fill, OpenRule
from wallet import tasks
from wallet.actions import edit_pool, edit_rule, issue_on_demand, seal_ledger
from wallet.actions.grant_dues import grant_due_credits
from wallet.actions.issue_assets import issue_many
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Grant
from wallet.programme.models import GrantDue
from wallet.programme.querysets import DueState
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
MakeUsers = Callable[[int], list[User]]


def states() -> list[str]:
    return [due.state for due in GrantDue.objects.with_state().order_by("pk")]


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def test_a_due_is_granted_once_however_often_it_runs(open_rule: OpenRule) -> None:
    rule = open_rule("REGISTERED")
    alice = User.objects.create_user("alice@example.com", "x")

    assert [grant_due_credits() for _ in range(3)] == [1, 0, 0]

    due, grant = GrantDue.objects.get(), Grant.objects.get()
    assert (due.entry, due.cap_slot, due.attempts, due.refusal) == (grant.entry, 1, 0, "")
    assert (grant.entry.user, grant.entry.asset.pool, grant.reference) == (alice, rule.pool, due.grant_reference)
    assert (grant.service, grant.actor, grant.reason) == (None, None, "registered")
    assert states() == [DueState.GRANTED]
    assert violations() == []


def test_the_scheduler_grants_every_few_seconds(open_rule: OpenRule) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("alice@example.com", "x")

    assert [tasks.grant_for_a_minute(every=30, rounds=1) for _ in range(2)] == [1, 0]


def test_four_schedulers_at_once_grant_each_due_once(open_rule: OpenRule, make_users: MakeUsers) -> None:
    open_rule("REGISTERED", credits=45)
    users = make_users(40)

    counts = at_once(lambda _: grant_due_credits(batch_size=7), range(4))
    grant_due_credits()

    assert all(isinstance(count, int) for count in counts), counts
    assert {user.pk for user in users} == set(Entry.objects.values_list("user", flat=True))
    assert Entry.objects.count() == Grant.objects.count() == 40
    assert set(states()) == {DueState.GRANTED}
    assert violations() == []


def test_a_sold_out_pool_leaves_dues_untouched_until_there_is_supply(
    open_rule: OpenRule, make_users: MakeUsers, issue: Callable[..., CashbackAsset]
) -> None:
    rule = open_rule("REGISTERED", credits=2)
    make_users(5)

    assert grant_due_credits() == 2
    assert grant_due_credits() == 0
    assert sorted(states()) == [DueState.GRANTED] * 2 + [DueState.SOLD_OUT] * 3
    assert set(GrantDue.objects.values_list("attempts", "refusal")) == {(0, "")}

    for _ in range(3):
        issue(pool=rule.pool)
    assert grant_due_credits() == 3
    assert violations() == []


def test_a_rules_pool_with_a_budget_issues_what_is_due_on_demand(
    open_rule: OpenRule, open_pool: Callable[..., CreditPool], make_users: MakeUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issue_on_demand, "BLOCK", 2)
    pool = open_pool(budget=Decimal(300), credit_title="Welcome", credit_value=Decimal(100))
    open_rule("REGISTERED", pool=pool)
    make_users(5)

    assert [grant_due_credits() for _ in range(2)] == [3, 0]
    assert sorted(states()) == [DueState.GRANTED] * 3 + [DueState.SOLD_OUT] * 2
    assert set(GrantDue.objects.values_list("attempts", "refusal")) == {(0, "")}
    CreditPool.objects.filter(pk=pool.pk).update(budget=Decimal(500))
    assert sorted(states())[3:] == [DueState.QUEUED] * 2
    assert grant_due_credits() == 2
    assert violations() == []


def test_what_is_due_waits_for_the_credits_of_the_next_day(
    open_rule: OpenRule, open_pool: Callable[..., CreditPool], make_users: MakeUsers
) -> None:
    pool = open_pool()
    issue_many(None, pool, count=3, title="Drip", total_value=Decimal(10), per_day=2)
    open_rule("REGISTERED", pool=pool)
    make_users(3)

    assert [grant_due_credits() for _ in range(2)] == [2, 0]
    let_a_day_pass(pool)
    tasks.open_scheduled_credits()
    assert grant_due_credits() == 1
    assert violations() == []


def test_a_closed_pool_and_a_paused_rule_wait(open_rule: OpenRule, ada: User, make_users: MakeUsers) -> None:
    rule = open_rule("REGISTERED")
    make_users(1)

    edit_pool.update_pool(rule.pool_id, ada, is_active=False)
    assert (grant_due_credits(), states()) == (0, [DueState.CLOSED])
    edit_pool.update_pool(rule.pool_id, ada, is_active=True)
    edit_rule.update_rule(rule.pk, ada, is_active=False)
    assert (grant_due_credits(), states()) == (0, [DueState.PAUSED])
    edit_rule.update_rule(rule.pk, ada, is_active=True)
    assert grant_due_credits() == 1


def test_the_cap_of_a_rule_and_the_limit_of_a_pool_refuse_more_and_are_tried_later(
    ada: User, alice: User, fill: Fill, report: Callable[..., Any], open_rule: OpenRule
) -> None:
    capped = open_rule("REPORTED", event_name="visit", per_person_cap=2, pool=fill(9))
    limited = open_rule("REPORTED", event_name="walk", pool=fill(9, "Walks", per_user_limit=1))
    for number in range(3):
        report(alice, "visit", f"visit-{number}")
        report(alice, "walk", f"walk-{number}")

    assert grant_due_credits() == 3

    refused = GrantDue.objects.filter(entry=None).order_by("rule__name", "pk")
    assert sorted((due.rule_id, due.refusal) for due in refused) == sorted(
        [(capped.pk, "rule_cap_reached"), *[(limited.pk, "claim_limit_reached")] * 2]
    )
    assert {due.attempts for due in refused} == {1}
    assert all(timedelta(0) < due.next_try_at - timezone.now() <= timedelta(minutes=1) for due in refused)  # type: ignore[operator]
    edit_rule.update_rule(capped.pk, ada, per_person_cap=3)
    assert grant_due_credits() == 1
    assert violations() == []


def test_two_grants_to_one_person_at_once_keep_the_cap(
    alice: User, fill: Fill, report: Callable[..., Any], open_rule: OpenRule
) -> None:
    open_rule("REPORTED", event_name="visit", per_person_cap=1, pool=fill(9))
    for number in range(6):
        report(alice, "visit", f"visit-{number}")

    at_once(lambda _: grant_due_credits(batch_size=2), range(4))

    assert Entry.objects.filter(user=alice).count() == 1
    assert GrantDue.objects.filter(entry__isnull=False).count() == 1
    assert violations() == []


def test_a_refused_due_is_tried_again_ever_more_rarely(open_rule: OpenRule) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("gone@example.com", "x", is_active=False)

    pauses = []
    for _ in range(12):
        GrantDue.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        assert grant_due_credits() == 0
        pauses.append(round((GrantDue.objects.get().next_try_at - timezone.now()) / timedelta(minutes=1)))  # type: ignore[operator]

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440]
    assert GrantDue.objects.get().refusal == "wallet_closed"


GRANT = "from wallet.actions.grant_dues import grant_due_credits; grant_due_credits()"
WORKER = """
import os, signal, django
django.setup()
from django.db import connection
count, last = 0, int(os.environ["KILL_AT"])
def run(execute, sql, params, many, context):
    global count
    count += 1
    if count == last and os.environ["KILL_WHEN"] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = execute(sql, params, many, context)
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
with connection.execute_wrapper(run):
    exec(os.environ["JOB"])
print(count)
"""


def work(kill_at: int, when: str = "before", job: str = GRANT) -> subprocess.CompletedProcess[str]:
    """Run a job in a process of its own, which kills itself before or after its n-th statement (0: not at all)."""
    parameters = connection.get_connection_params()
    url = f"postgresql://{parameters['user']}@/{parameters['dbname']}?host={parameters['host']}"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": url,
        "KILL_AT": str(kill_at),
        "KILL_WHEN": when,
        "JOB": job,
    }
    return subprocess.run([sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def test_a_worker_killed_at_each_step_leaves_a_due_granted_whole_or_not_at_all(open_rule: OpenRule) -> None:
    open_rule("REGISTERED", credits=40)
    User.objects.create_user("first@example.com", "x")
    steps = int(work(0).stdout)
    assert Grant.objects.count() == 1

    for step in range(1, steps + 1):
        User.objects.create_user(f"user{step}@example.com", "x")
        ended = work(step, "before" if step % 2 else "after")
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert Entry.objects.count() == Grant.objects.count() == GrantDue.objects.filter(entry__isnull=False).count()
        grant_due_credits()
        assert Entry.objects.count() == Grant.objects.count() == step + 1

    seal_ledger.seal_all()
    assert set(states()) == {DueState.GRANTED}
    assert violations() == []


def test_the_person_sees_the_credit_in_their_history(open_rule: OpenRule, client: Any) -> None:
    rule = open_rule("REGISTERED")
    alice = User.objects.create_user("alice@example.com", "x")
    grant_due_credits()
    client.force_login(alice)

    page = client.get("/claims/").content.decode()

    assert rule.pool.name in page
    assert "₹50.00" in page


def test_the_checker_names_a_due_without_its_entry_and_a_grant_without_its_due(open_rule: OpenRule) -> None:
    open_rule("REGISTERED")
    User.objects.create_user("alice@example.com", "x")
    bob = User.objects.create_user("bob@example.com", "x")
    grant_due_credits()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE programme_grantdue DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE programme_grantdue SET entry_id = NULL, granted_at = NULL, cap_slot = NULL WHERE user_id = %s", [bob.pk]
        )
        cursor.execute("UPDATE programme_grantdue SET reference = gen_random_uuid() WHERE user_id <> %s", [bob.pk])
        cursor.execute("SELECT public.harden_triggers()")

    found = violations()

    assert [sentence.partition(":")[0] for sentence in found] == ["I27"] * 4
    for text in ("has no due", "which is not its grant", "that did not happen"):
        assert any(text in sentence for sentence in found), found
