"""The files of deploy/, filled in for the hosts of a run."""

import os
from collections.abc import Mapping
from pathlib import Path
from string import Template

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def fill_template(name: str, values: Mapping[str, object]) -> str:
    """Return a file of deploy/ with its ${NAMES} replaced, as `envsubst` does; raise KeyError for a name without a value."""
    return Template((DEPLOY / name).read_text()).substitute(values)


def write_template(name: str, folder: Path, values: Mapping[str, object], owner: tuple[int, int]) -> Path:
    """Write a file of deploy/ to a folder, a script as it is, readable by its owner only, and return its path."""
    source, target = DEPLOY / name, folder / Path(name).name
    is_script = os.access(source, os.X_OK)
    target.write_text(source.read_text() if is_script else fill_template(name, values))
    target.chmod(0o700 if is_script else 0o600)
    os.chown(target, *owner)
    return target
