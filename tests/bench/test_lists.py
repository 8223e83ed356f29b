"""Lists on large and on small tables are asked by turns."""

import contextlib
from dataclasses import dataclass, field
from typing import Any

from dev.bench import lists


@dataclass(eq=False)
class Server:
    """Says what it was asked, and takes as long as it is told."""

    name: str
    asked: list[str]
    takes: list[float] = field(default_factory=list)

    def connected(self) -> Any:
        return contextlib.nullcontext(None)

    def time(self, connection: None, path: str, who: str) -> float:
        self.asked.append(f"{self.name} {path} {who}")
        return self.takes.pop(0) if self.takes else 2.0


def test_each_is_asked_as_often_as_the_other_and_as_often_first() -> None:
    asked: list[str] = []
    large, small = Server("large", asked, [900.0, 50.0]), Server("small", asked)

    found = lists.median_times({large: "a", small: "b"}, "ada")  # type: ignore[dict-item]

    assert asked[:4] == ["large a ada", "small b ada", "small b ada", "large a ada"]
    assert len(asked) == 2 * (lists.REQUESTS + 1)
    assert found == [2.0, 2.0]  # neither the first turn nor a slow one counts for more than it is
