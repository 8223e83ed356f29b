"""Check constraints on the shape of a seal. Queries also use them to skip malformed seals that predate the constraints."""

from datetime import UTC, datetime

from django.db.models import BigIntegerField, F, Q
from django.db.models.functions import Cast, Length
from django.db.models.lookups import Exact

# A currency and an amount as seal_ledger.format_sums writes them.
SUM = r'"[A-Z]{3}": "[0-9]{1,24}(\.[0-9]{1,4})?"'
# The same of version 2, which may seal movements alone; and sums by currency and kind or account.
SUMS_2 = rf"^\{{({SUM}(, {SUM}){{0,254}})?\}}$"
PART = r'"[A-Za-z]{4,8}": "-?[0-9]{1,24}(\.[0-9]{1,4})?"'
PARTS = rf'"[A-Z]{{3}}": \{{{PART}(, {PART})*\}}'
BY_CURRENCY = rf"^\{{{PARTS}(, {PARTS})*\}}$"
# Conditions by constraint name. A trigger compares the previous root with the last seal.
SHAPE = {
    "seal_holds_entries": Q(seq__gte=1, count__gte=1),
    "seal_hashes_whole": Q(Exact(Length("root"), 32), Exact(Length("public_key"), 32), Exact(Length("signature"), 64)),
    "seal_leaves_whole": Q(Exact(Length("leaves"), Cast(F("count"), BigIntegerField()) * 48)),
    "seal_sums_stated": Q(version=1, sums__regex=rf"^\{{{SUM}(, {SUM}){{0,254}}\}}$") | Q(version=2, sums__regex=SUMS_2),
    "seal_position_stated": Q(version=1, kinds=None, position=None)
    | Q(version=2, kinds__isnull=False, kinds__regex=BY_CURRENCY, position__isnull=False, position__regex=BY_CURRENCY),
    "seal_time_possible": Q(sealed_at__gte=datetime(2000, 1, 1, tzinfo=UTC), sealed_at__lt=datetime(3000, 1, 1, tzinfo=UTC)),
}
WELL_FORMED = Q(*SHAPE.values())
