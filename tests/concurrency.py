"""Concurrent calls in real threads with real connections."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

A = TypeVar("A")
R = TypeVar("R")


def at_once(function: Callable[[A], R], arguments: Sequence[A]) -> list[R | Exception]:
    """Call `function` once per argument, each in its own thread, all released by one barrier.

    Return the results or exceptions in the order of the arguments.
    """
    barrier = threading.Barrier(len(arguments))

    def run(argument: A) -> R | Exception:
        connections["default"].ensure_connection()
        barrier.wait()
        try:
            return function(argument)
        except Exception as error:  # noqa: BLE001  (exceptions are outcomes of a race)
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))
