"""The lines of a bulk grant, and the decisions about them that need no SQL: pure functions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from accounts.email_addresses import normal_email
from kernel.refusals import Refusal
from wallet.actions.claim_decisions import PoolClosed, limit_reached
from wallet.actions.claim_sql import ClaimAllowance
from wallet.actions.payment_refusals import InvalidReference, ReferenceUsed, UserNotFound, WalletClosed
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.movements import REFERENCE

VALID_REFERENCE = re.compile(REFERENCE.strip("^$"))
# An email that is its own canonical form. Most are, and the full rules take longer than the whole grant of a line.
PLAIN_EMAIL = re.compile(r"[a-z0-9._+-]+@(?!.*xn--)[a-z0-9.-]+")


class Outcome(StrEnum):
    """What became of a line."""

    GRANTED = "granted"
    ALREADY_GRANTED = "already_granted"
    REFUSED = "refused"


class GrantLine(NamedTuple):
    """One line: the user by id or email, and the caller's name of this grant."""

    user: str
    reference: str


@dataclass(frozen=True)
class LineResult:
    """What became of a line: with its claim, or with the refusal by which nothing was granted."""

    outcome: Outcome
    claim_id: UUID | None = None
    refusal: Refusal | None = None


class EarlierGrant(NamedTuple):
    """A grant of the same caller under one of the references."""

    fingerprint: str
    claim_id: UUID


class NamedUser(NamedTuple):
    """A user whom lines name."""

    id: UUID
    is_active: bool


@dataclass
class LinePlan:
    """Results by the position of their line; positions to grant with user and fingerprint; repetitions of earlier positions."""

    results: dict[int, LineResult] = field(default_factory=dict)
    wanted: dict[int, tuple[UUID, str]] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)

    def refuse(self, position: int, refusal: Refusal) -> None:
        """Refuse a line."""
        self.wanted.pop(position, None)
        self.results[position] = LineResult(Outcome.REFUSED, refusal=refusal)

    def in_order(self) -> list[LineResult]:
        """Return the results of all lines; a repeated line has been granted by the first one, or was refused like it."""
        for position, first in self.repeated.items():
            result = self.results[first]
            again = LineResult(Outcome.ALREADY_GRANTED, result.claim_id)
            self.results[position] = result if result.outcome == Outcome.REFUSED else again
        return [self.results[position] for position in sorted(self.results)]


def name_of_user(text: str) -> UUID | str:
    """Return the id or the canonical email by which a line names its user."""
    name = text.strip()
    if "@" not in name:
        try:
            return UUID(name)
        except ValueError:
            return name.lower()
    name = name.lower()
    return name if PLAIN_EMAIL.fullmatch(name) else normal_email(name)


def grant_fingerprint(user_id: UUID, pool_id: UUID, reason: str) -> str:
    """Return the fingerprint of a grant's contents, by which its reference is recognized."""
    return fingerprint("grant", user_id, pool_id, reason)


def plan_lines(
    lines: Sequence[GrantLine],
    names: Sequence[UUID | str],
    users: Mapping[UUID | str, NamedUser],
    earlier: Mapping[str, EarlierGrant],
    *,
    pool_id: UUID,
    reason: str,
) -> LinePlan:
    """Decide which lines are to be granted, as far as their users and references say.

    Arguments:
        names: what `name_of_user` returns for each line.
        users: by id and by email.
        earlier: by reference.
    """
    plan = LinePlan()
    first_of: dict[str, tuple[int, str]] = {}
    for position, (line, name) in enumerate(zip(lines, names, strict=True)):
        user = users.get(name)
        if not VALID_REFERENCE.fullmatch(line.reference):
            plan.refuse(position, InvalidReference())
        elif user is None:
            plan.refuse(position, UserNotFound())
        else:
            digest = grant_fingerprint(user.id, pool_id, reason)
            if before := earlier.get(line.reference):
                same = before.fingerprint == digest
                granted = LineResult(Outcome.ALREADY_GRANTED, before.claim_id)
                plan.results[position] = granted if same else LineResult(Outcome.REFUSED, refusal=ReferenceUsed())
            elif line.reference in first_of:
                first, its_digest = first_of[line.reference]
                if its_digest == digest:
                    plan.repeated[position] = first
                    plan.results[position] = LineResult(Outcome.ALREADY_GRANTED)
                else:
                    plan.refuse(position, ReferenceUsed())
            elif not user.is_active:
                plan.refuse(position, WalletClosed())
            else:
                plan.wanted[position] = (user.id, digest)
                first_of[line.reference] = (position, digest)
    return plan


def keep_to_allowances(plan: LinePlan, allowances: Mapping[UUID, ClaimAllowance]) -> None:
    """Refuse the lines whose pool is closed or whose user has reached the pool's limit."""
    taken: Counter[UUID] = Counter()
    for position, (user_id, _digest) in list(plan.wanted.items()):
        allowance = allowances[user_id]
        if not allowance.is_open:
            plan.refuse(position, PoolClosed())
        elif refusal := limit_reached(allowance, taken[user_id]):
            plan.refuse(position, refusal)
        else:
            taken[user_id] += 1
