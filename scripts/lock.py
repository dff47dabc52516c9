"""Pin what the requirements bring along: ``python scripts/lock.py`` writes constraints.txt from the environment that runs it.

Run it in the .venv of ``./scripts/test`` after a change of a requirements file: without constraints.txt that installs the newest
of everything, and when the tests pass with it, this keeps it. ``--check`` names what is installed and not pinned.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
HEAD = """\
# Made by scripts/lock.py: the version of everything that requirements*.txt bring along. torch is pinned there: its file, and the
# version of that file (2.13.0+cpu, for example), differ from machine to machine, and it pins its own CUDA libraries.
"""
LEFT_OUT = {"torch"}


def asked_for() -> list[Requirement]:
    """What the requirements files name, and what builds the package; but for those that come without what they need."""
    lines = [line for name in ("requirements.txt", "requirements-test.txt") for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in (*lines, "setuptools") if line and not line.startswith(("#", "-r"))]


def installed() -> dict[str, str]:
    """Name -> version of everything that those need, directly or not, and that is installed here."""
    versions: dict[str, str] = {}
    waiting, seen = asked_for(), set()
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in seen:
            continue
        seen.add(key)
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:  # of another system
            continue
        versions[key[0]] = package.version
        for line in package.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
                waiting.append(needed)
    return {name: version for name, version in sorted(versions.items()) if name not in LEFT_OUT}


def main() -> int:
    """Exit code 1 where ``--check`` finds something that is not pinned as it is installed."""
    lines = [f"{name}=={version}" for name, version in installed().items()]
    if sys.argv[1:] == ["--check"]:
        missing = sorted(set(lines) - set(CONSTRAINTS.read_text().splitlines()))
        print("\n".join(missing))
        return bool(missing)
    CONSTRAINTS.write_text(HEAD + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
