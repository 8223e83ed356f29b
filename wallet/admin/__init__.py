"""The operators' door: one module per room of the Django admin, loaded by its autodiscovery."""

from wallet.admin import assets, clock, ledger, ownership, pools, seals, trails

__all__ = ["assets", "clock", "ledger", "ownership", "pools", "seals", "trails"]
