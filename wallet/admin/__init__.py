"""The operators' console: one module per section of the Django admin, loaded by its autodiscovery."""

from wallet.admin import assets, history, ledger, ownership, pools, schedules, seals

__all__ = ["assets", "history", "ledger", "ownership", "pools", "schedules", "seals"]
