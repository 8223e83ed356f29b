"""The proposal to import a file that gives a pool more than its approval threshold."""

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from wallet.actions.approvals import ApprovalRequired, Draft
from wallet.actions.import_mistakes import FileChanged
from wallet.actions.proposal_parameters import ImportParameters, totals_of
from wallet.assets.models import CreditPool
from wallet.ledger.idempotency import fingerprint
from wallet.ledger.models import ProposalKind
from wallet.ledger.proposals import MAX_FILE_BYTES
from wallet.money import format_amount

if TYPE_CHECKING:
    from wallet.actions.import_csv import CreditFile

NEW_POOL_FIELDS = ("id", "name", "kind", "currency", "time_zone")  # of a pool that an import opens


def draft_import(file: "CreditFile", name: str) -> Draft:
    """Return the proposal to import a file that was checked, with the pool that exceeds its threshold most."""
    contents = file.expected
    if contents is None:
        raise ApprovalRequired
    sums: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    values: defaultdict[str, Decimal] = defaultdict(Decimal)
    for credit in replace(file, expected=None, progress=lambda _: None):
        asset = credit.template.asset
        values[asset.currency] += asset.total_value
        if asset.pool_id:
            sums[asset.pool_id] += asset.total_value
    governed = [pool for pool in file.pools.values() if is_exceeded(pool, sums[pool.pk])]
    if not governed:
        raise FileChanged
    pool = max(governed, key=lambda each: sums[each.pk])
    parameters = ImportParameters(
        file_name=name,
        count=contents.count,
        digest=contents.digest,
        credits_digest=contents.credits_digest,
        default_pool=file.default_pool.pk if file.default_pool else None,
        new_pools=[{name: str(getattr(new, name)) for name in NEW_POOL_FIELDS} for new in file.new_pools],
        totals=totals_of(sums),
    )
    worth = ", ".join(f"{format_amount(total, code)} {code}" for code, total in sorted(values.items()))
    shown = {"file": name, "count": contents.count, "value": worth, "sha256": contents.digest}
    return Draft(
        ProposalKind.IMPORT,
        pool,
        sums[pool.pk],
        parameters,
        shown | {"amount": format_amount(sums[pool.pk], pool.currency)},
        fingerprint("import", name, contents.digest, contents.credits_digest, parameters.default_pool),
        file.actor,
        file=small_content(file.path),
    )


def is_exceeded(pool: CreditPool, total: Decimal) -> bool:
    """Return whether so much issued in the pool needs an approval."""
    return pool.approval_threshold is not None and total > pool.approval_threshold


def small_content(path: Path) -> bytes | None:
    """Return the content of a file that a proposal keeps; None for a larger one, which the decider brings again."""
    return path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
