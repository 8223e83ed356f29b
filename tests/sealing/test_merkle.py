"""Merkle trees of RFC 9162, compared with its recursive definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.ledger import merkle


def mth(leaves: list[bytes]) -> bytes:
    """The definition of RFC 9162 §2.1.1, letter by letter."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def test_a_leaf_and_a_node_are_never_taken_for_one_another() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")

    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
    assert merkle.leaf_hash(b"") == hashlib.sha256(b"\x00").digest()


@given(st.lists(st.binary(max_size=3), max_size=80))
def test_the_root_is_the_definitions(data: list[bytes]) -> None:
    leaves = [merkle.leaf_hash(item) for item in data]

    assert merkle.merkle_root(leaves) == mth(leaves)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 64, 65])
def test_every_leaf_has_a_path_that_proves_it_and_nothing_else(count: int) -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(count)]
    root = merkle.merkle_root(leaves)

    for index, leaf in enumerate(leaves):
        path = merkle.inclusion_path(leaves, index)
        assert merkle.root_from_path(leaf, index, count, path) == root
        assert merkle.root_from_path(merkle.leaf_hash(b"other"), index, count, path) != root
        assert count == 1 or merkle.root_from_path(leaf, (index + 1) % count, count, path) != root
        assert merkle.root_from_path(leaf, index, count, [*path, root]) is None
        assert not path or merkle.root_from_path(leaf, index, count, path[:-1]) is None
        assert merkle.root_from_path(leaf, count, count, path) is None
