"""Rules, a shop, and customers who register, verify their email, invite a friend, pay, get refunds and are reported."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from types import TracebackType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models.functions import Now

from accounts.invitations import Invitation, set_invitation
from accounts.models import Role, User
from accounts.services import Service
from dev.chaos.payment_load import as_application
from dev.payment_race.client import PaymentClient
from dev.payment_race.transport import CURRENCY, DirectPayments
from dev.race.fixture import Participant
from dev.race.transport import DirectTransport
from kernel.transactions import Busy
from wallet.actions import edit_pool, edit_rule
from wallet.actions.issue_assets import build_asset, issue_assets
from wallet.actions.record_notices import record_notices
from wallet.actions.referral import ensure_referral_code
from wallet.actions.report_event import report_event
from wallet.assets.models import CashbackAsset, CreditPool, PoolKind
from wallet.delivery.cursors import START
from wallet.delivery.feed import Event, read_events
from wallet.notices.mornings import last_morning
from wallet.programme.events import GrantEvent
from wallet.programme.models import GrantRule

CUSTOMERS_AT_ONCE = 2
BUSY_TRIES = 200
PAUSE_SECONDS = 0.3  # between two customers: the schedulers are the experiment, not the payments
REPORTED = "visit"  # the name of the event that the shop reports
ENDING_PEOPLE = 20  # whose credits end soon
READ_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Due:
    """A credit that a rule must grant: acknowledged events imply it, whatever the tables say."""

    rule: UUID
    user: UUID
    reference: UUID

    @property
    def grant_reference(self) -> str:
        """The reference of its grant."""
        return f"rule:{self.rule}:{self.reference}"


@dataclass
class Programme:
    """A shop, a rule for each event with a pool of its own, a pool that customers claim from, and what is due by now."""

    operator: User
    shop: Service
    payable: CreditPool
    rules: dict[str, GrantRule]
    expected: list[Due] = field(default_factory=list)
    ending: list[UUID] = field(default_factory=list)

    def expect(self, event: str, user: UUID, reference: UUID) -> None:
        """Note that the rule of an event must grant a credit."""
        self.expected.append(Due(self.rules[event].pk, user, reference))


def create_programme(supply: int, payable: int) -> Programme:
    """Open the rules, each with so many credits, and a pool with credits to pay with; then look at the ledger once."""
    operator = User.objects.create(email="operator@example.com", role=Role.ADMIN)
    rules = {event: open_rule(operator, event, supply) for event in GrantEvent.values}
    made = Programme(operator, Service.objects.create(name="Shop"), open_pool("Payable", payable), rules)
    create_ending_credits(made)
    record_notices()  # the first run notes where the ledger ends
    return made


def open_rule(operator: User, event: str, supply: int) -> GrantRule:
    """Open a rule with a pool of its own."""
    named = {"event_name": REPORTED} if event == GrantEvent.REPORTED else {}
    return edit_rule.open_rule(operator, name=f"Rule {event}", pool=open_pool(f"For {event}", supply), event=event, **named)


def open_pool(name: str, supply: int, **fields: Any) -> CreditPool:
    """Open a pool with so many credits."""
    pool = edit_pool.open_pool(None, name=name, kind=PoolKind.PROMOTION, currency=CURRENCY, **fields)
    issue_equal_credits(pool, supply)
    return pool


def issue_equal_credits(pool: CreditPool, number: int, **fields: Any) -> list[CashbackAsset]:
    """Issue equal credits in a pool and return them."""
    credits_ = [build_asset(None, title=pool.name, total_value=Decimal(20), pool=pool, **fields) for _ in range(number)]
    if credits_:
        issue_assets(credits_)
    return credits_


def create_ending_credits(programme: Programme) -> None:
    """Create people whose credit is in the digest of the last morning."""
    today = last_morning(datetime.now(UTC), ZoneInfo("UTC"))
    ends = datetime.combine(today + timedelta(days=2), datetime.min.time(), UTC)
    pool = open_pool("Ending", ENDING_PEOPLE, valid_until=ends)
    for number in range(ENDING_PEOPLE):
        person = register_verified(programme, f"ending{number}@example.com")
        claim_for(pool, person)
        programme.ending.append(person.pk)


def claim_for(pool: CreditPool, user: User) -> None:
    """Claim a credit of a pool for a user."""
    response = DirectTransport().pool(Participant(str(user.pk), ""), str(pool.pk), f"claim-of-{user.pk}-in-{pool.pk}"[:64])
    assert response.outcome == "ok", response


def when_not_busy(action: Callable[[], Any]) -> Any:
    """Call an action again until it is not refused as busy; return its result."""
    for _ in range(BUSY_TRIES):
        try:
            return action()
        except Busy:
            time.sleep(0.02)
    return action()


class Customers:
    """Threads in each of which one customer follows another; a context manager."""

    def __init__(self, programme: Programme, seed: int, number: int = CUSTOMERS_AT_ONCE) -> None:
        self.programme, self.seed = programme, seed
        self.over = threading.Event()
        self.threads = ThreadPoolExecutor(number)
        self.work: list[Future[None]] = [self.threads.submit(self.run, line) for line in range(number)]

    def __enter__(self) -> "Customers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the customers finish, and raise what went wrong with them."""
        self.over.set()
        self.threads.shutdown()
        for future in self.work:
            future.result()

    def run(self, line: int) -> None:
        """Let one customer after the other come, each invited by the one before."""
        with as_application():
            payments = PaymentClient(DirectPayments(str(self.programme.shop.pk)), line, self.seed)
            friend: User | None = None
            for number in count():
                if self.over.wait(PAUSE_SECONDS):
                    return
                friend = new_customer(self.programme, f"customer{line}-{number}@example.com", friend)
                pay_orders(self.programme, payments, friend)


def new_customer(programme: Programme, email: str, friend: User | None = None) -> User:
    """Register a customer, with a friend's code, verify their email and return them."""
    invitation = Invitation(when_not_busy(lambda: ensure_referral_code(friend))) if friend else None
    user = register_verified(programme, email, invitation)
    when_not_busy(lambda: claim_for(programme.payable, user))
    report_twice(programme, user, f"{email} 1")
    if friend is not None:
        programme.expect(GrantEvent.FRIEND_FIRST_PAYMENT, friend.pk, user.pk)
    return user


def register_verified(programme: Programme, email: str, invitation: Invitation | None = None) -> User:
    """Insert a user, who verifies their email; without a password, whose hashing would be most of the work."""
    with transaction.atomic():
        set_invitation(invitation)
        user = User.objects.create(email=email)
    User.objects.filter(pk=user.pk).update(email_verified_at=Now())
    programme.expect(GrantEvent.REGISTERED, user.pk, user.pk)
    programme.expect(GrantEvent.EMAIL_VERIFIED, user.pk, user.pk)
    return user


def pay_orders(programme: Programme, payments: PaymentClient, user: User) -> None:
    """Let a customer pay at once, get a part back, and make a whole order."""
    paid = payments.pay(str(user.pk), 6, capture=True).payment
    assert paid is not None
    programme.expect(GrantEvent.FIRST_PAYMENT, user.pk, user.pk)
    payments.refund(str(user.pk), paid["id"], 2, f"refund of {user.email}")
    payments.whole_order(str(user.pk))


def report_twice(programme: Programme, user: User, reference: str) -> None:
    """Report an event of a customer's, twice as after a lost answer."""
    for _ in range(2):
        answer = when_not_busy(lambda: report_event(programme.shop, user, name=REPORTED, reference=reference))
    programme.expect(GrantEvent.REPORTED, user.pk, UUID(answer.body["id"]))


class FeedReader:
    """Reads the feed while it is written, in a thread, as a service with a saved position does; a context manager."""

    def __init__(self) -> None:
        self.cursor, self.events = START, list[Event]()
        self.over = threading.Event()
        self.threads = ThreadPoolExecutor(1)
        self.work = self.threads.submit(self.run)

    def __enter__(self) -> "FeedReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self.threads.shutdown()

    def run(self) -> None:
        """Read until it is over."""
        with as_application():
            while not self.over.wait(READ_PAUSE_SECONDS):
                self.read()

    def read(self) -> None:
        """Read all that there is now."""
        has_more = True
        while has_more:
            page = read_events(self.cursor, service=None, limit=50)
            self.events += page.events
            self.cursor, has_more = page.after, page.has_more

    def finish(self) -> None:
        """Stop, and read the rest."""
        self.over.set()
        self.work.result()
        self.read()
