"""Inclusion proofs: proof that a seal covers an entry."""

from typing import Any, ClassVar

from kernel.refusals import Refusal
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Seal


class NotSealedYet(Refusal):
    """The entry is newer than the last seal."""

    code = "not_sealed_yet"
    detail = "This claim is not sealed yet. Its proof will be there within a few seconds: ask again."
    retry_after: ClassVar[int | None] = 5


class NoValidSeal(NotSealedYet):
    """The seal that covers the entry is malformed or does not contain it, so there will be no proof."""

    detail = "The seal that covers this claim is not valid, so there is no proof. The claim itself is not affected."
    retry_after = None


def inclusion_proof(entry: Entry) -> dict[str, Any]:
    """Return the proof that a seal covers the entry: leaf, its index, the path to the root, and the seal.

    Raises NotSealedYet and NoValidSeal.
    """
    covering = Seal.objects.covering(entry.xid)
    seal = covering.well_formed().first()
    if seal is None:
        raise NoValidSeal if covering.exists() else NotSealedYet
    ids, leaves = unpack_leaves(seal)
    if entry.pk.bytes not in ids:
        raise NoValidSeal
    index = ids.index(entry.pk.bytes)
    row = tuple(getattr(entry, column) for column in signing.LEAF_COLUMNS)
    return {
        "leaf": signing.leaf_data(row).decode(),
        "index": index,
        "path": [sibling.hex() for sibling in merkle.inclusion_path(leaves, index)],
        "seal": signing.published_seal(seal),
    }


def unpack_leaves(seal: Seal) -> tuple[list[bytes], list[bytes]]:
    """Return the entry ids and leaf hashes of a seal, in its order."""
    packed = bytes(seal.leaves)
    starts = range(0, len(packed), 48)
    return [packed[start : start + 16] for start in starts], [packed[start + 16 : start + 48] for start in starts]
