"""Two operators, and a pool above whose threshold one of them is not enough."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from accounts.models import Role, User
from accounts.services import Service
from tests.api.conftest import Caller, _no_rates, as_ada, as_alice, by  # noqa: F401  (fixtures)
from tests.conftest import PASSWORD
from tests.money.conftest import shop  # noqa: F401  (fixtures)
from wallet.actions.approvals import AwaitsApproval
from wallet.actions.claim import claim_from_pool
from wallet.actions.edit_pool import update_pool
from wallet.actions.grant_credit import grant_credit
from wallet.actions.issue_assets import issue_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Lot, Proposal

THRESHOLD = Decimal(100)


@pytest.fixture
def grace(db: None) -> User:
    """Another operator."""
    return User.objects.create_user("grace@example.com", PASSWORD, role=Role.ADMIN)


@pytest.fixture
def as_grace(by: Callable[[User], Caller], grace: User) -> Caller:  # noqa: F811
    return by(grace)


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    return open_pool(approval_threshold=THRESHOLD, valid_for="30 days")


@pytest.fixture
def dear(pool: CreditPool) -> Callable[..., None]:
    """Put credits into the pool that are worth more than its threshold, as if an earlier release had issued them."""

    def issue(count: int = 1, value: str = "500.00") -> None:
        with without_rules():
            for _ in range(count):
                CashbackAsset.objects.create(title="Dear", total_value=Decimal(value), currency="INR", pool=pool)

    return issue


@pytest.fixture
def lot(pool: CreditPool, dear: Callable[..., None], alice: User) -> Lot:
    """A credit above the threshold that alice claimed herself."""
    dear()
    request = IdempotentRequest(alice, "claim", "k" * 20, fingerprint(pool.pk))
    return Lot.objects.get(pk=claim_from_pool(pool.pk, alice, request).receipt["id"])


class without_rules:  # noqa: N801  (reads as a statement)
    """Lift the triggers of approvals for a while, as the owner."""

    def __enter__(self) -> None:
        self.switch("DISABLE")

    def __exit__(self, *_: Any) -> None:
        self.switch("ENABLE ALWAYS")

    def switch(self, how: str) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
                " AND tgname ~ '^pgtrigger_(issue_approved|asset_value_approved|proposal_)'"
            )
            for table, name in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {table} {how} TRIGGER "{name}"')


def proposal_of(function: Callable[..., Any], *arguments: Any, **options: Any) -> Proposal:
    """Call an action that must wait for approval, and return its proposal."""
    with pytest.raises(AwaitsApproval) as waiting:
        function(*arguments, **options)
    return waiting.value.proposal


def waiting_proposal(open_pool: Callable[..., CreditPool], to: User) -> Proposal:
    """Return the grant that a service proposed, which any operator may decide."""
    governed = open_pool(name="Governed")
    issue_asset(None, title="Dear", total_value=Decimal(2), pool=governed)
    update_pool(governed.pk, None, approval_threshold=Decimal(1))
    service = Service.objects.create(name="Programme")
    return proposal_of(grant_credit, to, governed.pk, service=service, reference="ticket-1", reason="goodwill")


def expire(proposal_id: UUID) -> None:
    """Let a proposal have expired."""
    with without_rules():
        Proposal.objects.filter(pk=proposal_id).update(expires_at="2020-01-01T00:00:00Z")


def refuses(constraint: str, statement: str, *values: Any) -> None:
    """Run SQL that must be refused under this constraint's name."""
    with pytest.raises(Exception) as refused, transaction.atomic(), connection.cursor() as cursor:  # noqa: PT011
        cursor.execute(statement, values)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    diagnosis = getattr(refused.value.__cause__, "diag", None)
    assert (diagnosis and diagnosis.constraint_name) == constraint, refused.value
