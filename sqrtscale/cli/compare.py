"""``sqrtscale runs compare``: a line for each of several calibrations, and what differs between them."""

from __future__ import annotations

import argparse
import json
import sys

from .runs import whole_id
from .shared import BadInput, open_store, table


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What ``compare`` takes."""
    command.add_argument("ids", nargs="+", metavar="ID", help="their ids, or the first characters of them")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_compare(options: argparse.Namespace) -> int:
    """``sqrtscale runs compare``"""
    from ..report.comparison import Row, gather
    from ..report.comparison_page import cells
    from ..report.settings import settings
    from ..runner import reconcile
    from ..store.export import json_value

    with open_store() as store:
        reconcile(store)
        members, problems = gather(store, [whole_id(store, id) for id in options.ids])
    if not members:
        raise BadInput(" ".join(problems))
    rows = [Row.of(member) for member in members]
    fields = settings(members)
    if options.json:
        print(json.dumps({"calibrations": [json_value(vars(row)) for row in rows],
                          "fields": [{**json_value(vars(field)), "differs": field.differs} for field in fields]}, indent=2))
    else:
        lines = [{"id": row.id, **cells(row)} for row in rows]
        print("\n".join(_table([list(lines[0]), *(list(line.values()) for line in lines)])))
        if different := [[field.name, *field.values] for field in fields if field.differs]:
            print("\n".join(["", *_table([["differs", *(row.id for row in rows)], *different])]))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 0


def _table(rows: list[list[str]]) -> list[str]:
    return table([[cell.replace("→", "->") for cell in row] for row in rows])
