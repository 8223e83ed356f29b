"""The operators' console: one module per section of the Django admin, loaded by its autodiscovery."""

from wallet.admin import (
    approvals,
    assets,
    batches,
    bulk_jobs,
    history,
    ledger,
    ownership,
    payments,
    pools,
    schedules,
    seals,
)

__all__ = [
    "approvals",
    "assets",
    "batches",
    "bulk_jobs",
    "history",
    "ledger",
    "ownership",
    "payments",
    "pools",
    "schedules",
    "seals",
]
