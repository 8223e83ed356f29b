"""The loop of the sweeps over wallets: how far it goes, and when it leaves the rest to the next sweep."""

import pytest

from wallet.actions.wallet_sweep import sweep_in_batches


@pytest.mark.parametrize(
    ("batches", "done"),
    [
        ([(0, 0)], 0),
        ([(2, 2), (2, 2), (1, 1)], 5),  # fewer than a batch: nothing is left
        ([(2, 2), (2, 1), (2, 0)], 3),  # all that is left is in use
    ],
)
def test_it_ends_with_what_it_can_do(batches: list[tuple[int, int]], done: int) -> None:
    left, told = iter(batches), list[int]()

    assert sweep_in_batches(lambda _size: next(left), told.append, 2) == done
    assert told == [count for _found, count in batches]
    assert next(left, None) is None


def test_it_leaves_the_rest_to_the_next_sweep_after_its_time() -> None:
    assert sweep_in_batches(lambda size: (size, size), seconds=0) == 0
    assert sweep_in_batches(lambda size: (size, size), seconds=0.05) > 0


@pytest.mark.parametrize(("rest", "pauses"), [(0.0, [0.0, 0.0]), (2.0, None)])
def test_it_rests_after_each_batch_but_the_last(
    monkeypatch: pytest.MonkeyPatch, rest: float, pauses: list[float] | None
) -> None:
    left, slept = iter([(2, 2), (2, 2), (1, 1)]), list[float]()
    monkeypatch.setattr("wallet.actions.wallet_sweep.time.sleep", slept.append)

    sweep_in_batches(lambda _size: next(left), batch_size=2, rest=rest)

    assert len(slept) == 2
    assert slept == pauses if pauses else all(pause > 0 for pause in slept)
