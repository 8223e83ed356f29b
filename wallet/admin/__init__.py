"""The operators' console: one module per section of the Django admin, loaded by its autodiscovery."""

from wallet.admin import (
    assets,
    batches,
    bulk_jobs,
    history,
    ledger,
    ownership,
    payments,
    pools,
    proposals,
    referrals,
    rules,
    schedules,
    seals,
)

__all__ = [
    "assets",
    "batches",
    "bulk_jobs",
    "history",
    "ledger",
    "ownership",
    "payments",
    "pools",
    "proposals",
    "referrals",
    "rules",
    "schedules",
    "seals",
]
