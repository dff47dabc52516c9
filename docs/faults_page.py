"""Write the table of docs/reliability.md from the markers of the tests: python docs/faults_page.py

A test that makes a fault carries ``@pytest.mark.fault(what is done, what happens)``, with one line each; several tests may carry
the same. With --check nothing is written, and it ends with 1 where the table is not what it would write.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
TESTS = ROOT / "tests"
HEAD = "| fault | what happens | made in |\n|---|---|---|\n"
FOLDERS = ("runner", "store", "cli")  # in this order; others after them


def table() -> str:
    """The whole table."""
    files: dict[tuple[str, str], list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py"), key=_place):
        name = path.relative_to(TESTS).as_posix()
        for fault in faults(path.read_text(encoding="utf-8")):
            if name not in files.setdefault(fault, []):
                files[fault].append(name)
    rows = (f"| {what} | {result} | {', '.join(f'`{name}`' for name in names)} |\n" for (what, result), names in files.items())
    return HEAD + "".join(rows)


def faults(text: str) -> Iterator[tuple[str, str]]:
    """What is done, and what happens, of every marker on a test in that source."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    what, result = map(ast.literal_eval, decorator.args)
                    yield what, result


def _place(path: Path) -> tuple[int, Path]:
    folder = path.relative_to(TESTS).parts[0]
    return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS), path


def page() -> str:
    """The page as it is to be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(HEAD)
    return before + table() + "".join(rest.partition("\n\n")[1:])[1:]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
