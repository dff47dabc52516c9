"""The results of the lab that come with the package and open its page at once: sqrtscale/lab/results/*.json.

    python benchmarks/lab_results.py FOLDER

FOLDER holds what benchmarks/lab.py measured there; what is missing is measured and stored beside it. Same settings, chains and
seed, so the page and docs/lab.md show the same numbers.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import lab

import sqrtscale
from sqrtscale.lab import RIGHT, Experiment
from sqrtscale.lab.stored import FOLDER, Stored, as_text


def chosen() -> Iterator[tuple[Experiment, bool]]:
    """Of what benchmarks/lab.py measures, what the page shows, and whether with its pictures."""
    for made in lab.slopes():
        yield made, made.convention == "torch"
    for made in (*lab.ratios(), *lab.laws(), *lab.signs()):
        yield made, True
    for made in lab.wrong():
        yield made, False
    for made in lab.stable():
        if made.seed == 0:
            yield made, False


def name(made: Experiment) -> str:
    """A short name for the file: what is not usual stands in it."""
    unusual = [made.convention] * (made.convention != "torch") + [made.rule] * (made.rule != RIGHT)
    unusual += [f"{beta:g}" for beta in made.betas] * (made.betas in lab.RATIOS)
    return re.sub(r"[^a-z0-9._]+", "-", "-".join([made.algorithm, made.problem, made.noise, *unusual])).strip("-") + ".json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(exist_ok=True)
    for made, pictures in chosen():
        lab.stored(folder, made)
        outcome = lab.read(folder, made)
        day = datetime.fromtimestamp((folder / lab.name(made)).stat().st_mtime, UTC)
        if outcome is not None:
            (FOLDER / name(made)).write_text(as_text(Stored(outcome, sqrtscale.__version__, f"{day:%Y-%m-%d}"), pictures))
            print(name(made), flush=True)


if __name__ == "__main__":
    main()
