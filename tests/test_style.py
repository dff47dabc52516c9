"""House rules that a program can check."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("sqrtscale", "pages", "tests", "benchmarks", "docs", "examples", "scripts")
PYTHON = sorted([*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))])
MOST_LINES = 400


def name(path: Path) -> str:
    """The path as people write it, from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def test_ruff_is_clean():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_too_long():
    lengths = {name(path): len(path.read_text().splitlines()) for path in PYTHON}
    assert len(lengths) > 50
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def swallows(handler: ast.ExceptHandler) -> bool:
    """True for a handler of every error that does nothing but go on."""
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    idle = all(isinstance(line, (ast.Pass, ast.Continue)) or ast.unparse(line) == "..." for line in handler.body)
    return idle and caught in ("Exception", "BaseException")


def test_no_error_is_swallowed():
    found = [f"{name(path)}:{node.lineno}" for path in PYTHON for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.ExceptHandler) and swallows(node)]
    assert found == []
