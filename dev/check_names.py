"""Count function names that say too little: `python -m dev.check_names`, part of `make check`.

A one-word name (`told`, `size`) is seldom understood at the call site, and a name that stands in several modules is hard to
search for. Both shares are bounded; the names are printed, so that they can be looked at one by one.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("kernel", "accounts", "wallet", "cashback", "dev")
MAX_ONE_WORD_SHARE = 0.40
MAX_REPEATED_SHARE = 0.15


def module_functions() -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each module-level function that git tracks, migrations left out."""
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    for path in listed:
        if path.split("/")[0] in PACKAGES and "/migrations/" not in path:
            for node in ast.parse(Path(path).read_text()).body:
                if isinstance(node, ast.FunctionDef):
                    yield path, node.name


def report(found: list[tuple[str, str]]) -> tuple[list[str], bool]:
    """Return the lines to print, and whether both shares are within their bounds."""
    modules_by_name = defaultdict(set)
    for module, name in found:
        modules_by_name[name].add(module)
    one_word = sorted(f"{module}: {name}" for module, name in found if "_" not in name.strip("_"))
    repeated = sorted(name for name, modules in modules_by_name.items() if len(modules) > 1)
    shares = (len(one_word) / len(found), len(repeated) / len(modules_by_name))
    lines = [
        *one_word,
        f"one-word names: {len(one_word)} of {len(found)} functions ({shares[0]:.1%}, at most {MAX_ONE_WORD_SHARE:.0%})",
        *(f"{name}: {', '.join(sorted(modules_by_name[name]))}" for name in repeated),
        f"names in more than one module: {len(repeated)} of {len(modules_by_name)} "
        f"({shares[1]:.1%}, at most {MAX_REPEATED_SHARE:.0%})",
    ]
    return lines, shares[0] <= MAX_ONE_WORD_SHARE and shares[1] <= MAX_REPEATED_SHARE


if __name__ == "__main__":
    lines, within_bounds = report(list(module_functions()))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(not within_bounds)
