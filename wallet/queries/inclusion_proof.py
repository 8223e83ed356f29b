"""Inclusion proofs: proof that a seal covers an entry."""

from typing import Any, ClassVar

from django.utils.translation import gettext_noop as _

from kernel.refusals import Conflict
from wallet.ledger import leaves as leaves_of_version_2
from wallet.ledger import merkle, signing
from wallet.ledger.models import Entry, Movement, Seal


class NotSealedYet(Conflict):
    code = "not_sealed_yet"
    meaning = _("The claim or payment is not covered by a seal yet.")
    detail = _("This is not sealed yet. Its proof will be available within a few seconds. Try again.")
    retry_after: ClassVar[int | None] = 5


class NoValidSeal(NotSealedYet):
    meaning = _("The seal that covers the claim or payment is malformed or does not contain it, so no proof can be made.")
    detail = _(
        "The seal that covers this is not valid, so there is no proof. "
        "The claim or payment itself is not affected. Tell an operator."
    )
    retry_after = None


def inclusion_proof(entry: Entry | Movement) -> dict[str, Any]:
    """Return the proof that a seal covers the entry, or the movement with all its postings.

    It has the leaf, its index, the path to the root, and the seal.

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
    return {
        "leaf": leaf_text(entry, seal),
        "index": index,
        "path": [sibling.hex() for sibling in merkle.inclusion_path(leaves, index)],
        "seal": signing.published_seal(seal),
    }


def leaf_text(entry: Entry | Movement, seal: Seal) -> str:
    """Return the text of the leaf in the version of the seal."""
    if seal.version == 2 or isinstance(entry, Movement):
        return leaves_of_version_2.read_leaf(entry.pk, entry.xid)
    return signing.leaf_data(tuple(getattr(entry, column) for column in signing.LEAF_COLUMNS)).decode()


def unpack_leaves(seal: Seal) -> tuple[list[bytes], list[bytes]]:
    """Return the entry ids and leaf hashes of a seal, in its order."""
    packed = bytes(seal.leaves)
    starts = range(0, len(packed), 48)
    return [packed[start : start + 16] for start in starts], [packed[start + 16 : start + 48] for start in starts]
