"""Merkle trees as in RFC 9162 §2.1: leaf = SHA-256(0x00 ‖ data), node = SHA-256(0x01 ‖ left ‖ right)."""

import hashlib
from collections.abc import Sequence
from itertools import zip_longest

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parent_level(level: Sequence[bytes]) -> list[bytes]:
    """Return the level above; a last node without a sibling moves up unchanged, as RFC 9162 splits at powers of two."""
    pairs = zip_longest(level[::2], level[1::2])
    return [node_hash(left, right) if right else left for left, right in pairs]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; without leaves the hash of the empty string."""
    level = leaves
    while len(level) > 1:
        level = parent_level(level)
    return level[0] if level else EMPTY_ROOT


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the inclusion path of the leaf at `index`: its sibling on each level, from the bottom up."""
    level, siblings = leaves, []
    while len(level) > 1:
        if index ^ 1 < len(level):
            siblings.append(level[index ^ 1])
        level, index = parent_level(level), index // 2
    return siblings


def root_from_path(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that `siblings` prove for the leaf at `index` of `count`, or None (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < count:
        return None
    node, last, remaining = leaf, count - 1, list(siblings)
    while last:
        if index % 2 or index < last:
            if not remaining:
                return None
            sibling = remaining.pop(0)
            node = node_hash(sibling, node) if index % 2 else node_hash(node, sibling)
        index, last = index // 2, last // 2
    return None if remaining else node
