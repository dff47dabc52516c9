"""The direction of dependencies: who may import whom, and what importing a part may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sqrtscale"
ALLOWED = {  # folder or file -> parts of the package that its files may import
    "rules": {"rules"},
    "formats": {"formats", "rules"},
    "tasks": {"tasks", "rules"},
    "training": {"training", "tasks", "rules", "plan"},
    "evidence": {"evidence", "rules"},
    "store": {"store", "rules", "plan", "home", "training.events"},
    "runner": {"runner", "store", "plan", "rules", "home"},
    "ui": {"ui", "runner", "store", "evidence", "formats", "plan", "tasks", "rules", "home"},
    "cli": {"cli", "runner", "store", "evidence", "plan", "tasks", "rules"},
    "plan.py": {"tasks", "rules"},
    "home.py": set(),
}
OUTSIDE = {  # folder or file -> packages from outside the standard library
    "rules": set(), "formats": set(), "tasks": {"torch", "sklearn"}, "training": {"torch"},
    "evidence": {"numpy", "pandas", "scipy"}, "store": {"sqlalchemy", "alembic", "numpy", "pandas"},
    "runner": {"sqlalchemy"}, "ui": {"streamlit", "plotly", "pandas", "numpy"},
    "cli": {"sqlalchemy"}, "plan.py": set(), "home.py": set(),
}


def files(part: str) -> list[Path]:
    """The Python files of a folder or file of the package; never none."""
    path = PACKAGE / part
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert found, path
    return found


def imported(path: Path) -> set[str]:
    """Absolute dotted names of everything a file imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [start, node.module]))
            found |= {f"{module}.{alias.name}" if module in ("", "sqrtscale") or node.module is None else module
                      for alias in node.names}
    return found


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_each_part_imports_only_what_lies_below_it(folder):
    for path in files(folder):
        own = {name.removeprefix("sqrtscale.") for name in imported(path) if name.startswith("sqrtscale")}
        allowed = ALLOWED[folder] | ({"training"} if path == PACKAGE / "runner" / "child.py" else set())
        wrong = {name for name in own if not any(name == one or name.startswith(f"{one}.") for one in allowed)}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("folder", sorted(OUTSIDE))
def test_each_part_uses_only_its_own_libraries(folder):
    for path in files(folder):
        outside = {name.partition(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"sqrtscale"}
        assert outside <= OUTSIDE[folder], f"{path.relative_to(ROOT)} imports {outside - OUTSIDE[folder]}"


def test_every_part_of_the_package_has_its_place_in_the_order():
    parts = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__.py", "__main__.py"} == set(ALLOWED) == set(OUTSIDE)


def test_pages_and_the_app_train_nothing():
    for path in (ROOT / "app.py", *(ROOT / "pages").glob("*.py")):
        assert not {name for name in imported(path) if name.startswith(("torch", "sqrtscale.training"))}, path


def test_nothing_but_pages_and_the_app_imports_the_user_interface():
    for path in PACKAGE.rglob("*.py"):
        if "ui" not in path.relative_to(PACKAGE).parts:
            assert not any(name.startswith(("sqrtscale.ui", "pages")) for name in imported(path)), path


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after running ``code`` in a process of its own."""
    code += "\nimport sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_itself_loads_nothing_heavy():
    assert not {"torch", "numpy", "pandas", "sqlalchemy", "streamlit"} & loaded_by("import sqrtscale, sqrtscale.cli")


def test_what_the_app_loads_has_no_torch():
    modules = [f"sqrtscale.ui.{path.stem}" for path in (PACKAGE / "ui").glob("[a-z]*.py")]
    assert len(modules) >= 10
    assert "torch" not in loaded_by(f"import sqrtscale.store, sqrtscale.runner, sqrtscale.evidence, {', '.join(modules)}")


def test_supervisor_loads_neither_torch_nor_streamlit():
    assert not {"torch", "streamlit"} & loaded_by("import sqrtscale.runner.supervisor, sqrtscale.runner.__main__")


def test_training_needs_only_torch_numpy_and_scikit_learn():
    loaded = loaded_by(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('streamlit', 'sqlalchemy', 'alembic', 'plotly'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from sqrtscale.plan import make_plan\n"
        "from sqrtscale.rules import TrainingConfig\n"
        "from sqrtscale.training import calibrate\n"
        "list(calibrate(make_plan('digits', TrainingConfig('adam', 8), 16, seeds=1, samples=32, start='scratch')))")
    assert "torch" in loaded and "sqlalchemy" not in loaded
