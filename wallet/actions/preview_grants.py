"""What a bulk grant would do now: nothing is changed, and no lock is taken."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from accounts.services import Service
from wallet.actions.claim_decisions import nothing_left
from wallet.actions.claim_sql import read_pool_supply
from wallet.actions.grant_batch import GrantOrder, grant_lines, report_body
from wallet.actions.grant_lines import GrantLine, LineResult, Outcome
from wallet.actions.issue_on_demand import affordable
from wallet.assets.claim_rules import CommittedValue
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool


def preview_grants(pool_id: UUID, lines: Sequence[GrantLine], *, reason: str, service: Service | None = None) -> dict[str, Any]:
    """Return the report that `grant_many` would make now, without claims. Raises as it does."""
    results = grant_lines(GrantOrder(pool_id, reason, service=service), lines, dry_run=True)
    return report_body(lines, keep_to_supply(pool_id, lines, results))


def keep_to_supply(pool_id: UUID, lines: Sequence[GrantLine], results: Sequence[LineResult]) -> list[LineResult]:
    """Return the results with a refusal for each line that would find no credit, and for those that repeat it."""
    wanted = [line.reference for line, result in zip(lines, results, strict=True) if result.outcome == Outcome.GRANTED]
    missing = {*wanted[count_credits_for(pool_id, len(wanted)) :]}
    if not missing:
        return list(results)
    sold_out = LineResult(Outcome.REFUSED, refusal=nothing_left(read_pool_supply(pool_id)._replace(some_left=False)))
    return [
        sold_out if line.reference in missing and result.outcome != Outcome.REFUSED else result
        for line, result in zip(lines, results, strict=True)
    ]


def count_credits_for(pool_id: UUID, most: int) -> int:
    """Return how many credits the pool could grant now, at most `most`: claimable ones, and those it opens or issues for it."""
    assets = CashbackAsset.objects.filter(pool=pool_id)
    due = assets.filter(status=AssetStatus.SCHEDULED, claimable_from__lte=Now())
    count = assets.claimable()[:most].count() + due[:most].count()
    if count < most:
        pools = CreditPool.objects.filter(pk=pool_id, budget__isnull=False).annotate(committed=CommittedValue())
        count += sum(affordable(pool) for pool in pools)
    return min(count, most)
