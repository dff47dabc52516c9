"""The direction of dependencies: who may import whom, and what importing a part may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sqrtscale"
ALLOWED = {  # part -> parts of the package that its files may import
    "__init__": {"rules", "arms", "plan", "transfer.optimizer", "meter"},
    "__main__": {"cli"},
    "home": set(),
    "processes": set(),
    "gpu": {"gpu", "__version__", "devices", "home", "processes"},  # whether a GPU can be used, without torch and a database
    "meter": {"meter"},  # a part for other people's loops, which needs nothing else of ours
    "diagnostics": {"diagnostics"},
    "arms": {"rules", "training.optimizers"},
    "devices": {"rules"},
    "schedules": {"schedules", "rules"},
    "points": set(),
    "plan": {"arms", "devices", "points", "rules", "schedules", "tasks", "training.optimizers"},
    "rules": {"rules"},
    "formats": {"formats", "rules"},
    "logs": {"logs", "rules.errors"},
    "compared": {"rules", "tasks"},
    "imported": {"imported", "compared", "logs", "rules"},
    "tasks": {"tasks", "rules", "home"},
    "transfer": {"transfer", "rules"},  # it trains nothing, and what trains knows of it how checkpoints are read alone
    "training": {"training", "tasks", "rules", "arms", "devices", "plan", "points", "processes", "schedules", "diagnostics",
                 "transfer.checkpoint", "transfer.optimizer_state"},
    "evidence": {"evidence", "rules", "diagnostics"},
    "lab": {"lab", "rules.errors"},  # simulated problems: it knows no run and no task
    "store": {"store", "rules", "tasks", "plan", "points", "compared", "home", "training.events"},
    "report": {"report", "lab", "evidence", "imported", "store", "arms", "compared", "plan", "schedules", "tasks", "rules"},
    "runner": {"runner", "report", "store", "formats", "devices", "gpu", "plan", "processes", "tasks", "rules", "home",
               "transfer.checkpoint.result"},
    "cli": {"cli", "lab", "gpu", "runner", "report", "store", "evidence", "imported", "logs", "formats", "arms", "compared",
            "plan", "schedules", "tasks", "rules", "home", "diagnostics", "transfer.checkpoint.result"},
    "ui": {"ui", "gpu", "lab", "runner", "report", "store", "evidence", "imported", "logs", "formats", "arms", "compared", "plan",
           "schedules", "tasks", "rules", "home", "diagnostics", "training.optimizers"},
}
OUTSIDE = {  # part -> packages from outside the standard library, where there are any
    "formats": {"ruamel"},
    "logs": {"numpy", "pandas"},
    "imported": {"numpy", "pandas", "scipy"},
    "diagnostics": {"numpy"},
    "meter": {"torch", "transformers", "lightning"},
    "tasks": {"torch", "numpy", "sklearn", "pandas", "PIL", "pyarrow", "transformers"},  # from pandas on in adapters alone
    "transfer": {"torch"},
    "training": {"torch", "numpy", "threadpoolctl", "numba", "scipy"},
    "evidence": {"numpy", "pandas", "scipy"},
    "lab": {"numpy", "scipy"},
    "store": {"sqlalchemy", "alembic", "numpy", "pandas"},
    "report": {"numpy", "pandas", "sqlalchemy"},
    "runner": {"sqlalchemy", "psutil"},
    "cli": {"sqlalchemy"},
    "ui": {"streamlit", "starlette", "plotly", "pandas", "numpy"},
}
MAY_ALSO = {
    "runner/child.py": {"training", "report"},  # the one file of the runner that trains, and judges what it has trained
    "runner/lab_child.py": {"lab", "__version__"},  # the one that computes an experiment of the lab
    "runner/keeper.py": {"training", "training.snapshots"},  # what the child keeps so that another one can go on
    "cli/__init__.py": {"__version__"},
    "gpu/detection.py": {"__version__"},
}
HEAVY = {"torch", "numpy", "scipy", "sklearn", "pandas", "sqlalchemy", "alembic", "streamlit", "plotly"}


def files(part: str) -> list[Path]:
    """Every Python file of a part, which is a folder or a single module."""
    single = PACKAGE / f"{part}.py"
    return [single] if single.is_file() else sorted((PACKAGE / part).rglob("*.py"))


def imported(path: Path, nodes=None) -> set[str]:
    """Absolute dotted names of everything a file imports (in ``nodes``, or wherever in it)."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [start, node.module]))
            found |= {f"{module}.{alias.name}" if module in ("", "sqrtscale") or node.module is None else module
                      for alias in node.names}
    return found


def outside(names: set[str]) -> set[str]:
    """The packages among those names that are neither ours nor Python's own."""
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"sqrtscale"}


def at_import(path: Path) -> set[str]:
    """What a file imports when it is itself imported: not in functions, not for type checkers alone."""
    def reached(nodes):
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from reached(node.orelse)
                continue
            yield node
            yield from reached(ast.iter_child_nodes(node))

    return imported(path, reached(ast.parse(path.read_text()).body))


def test_every_part_of_the_package_has_its_place():
    parts = {path.stem for path in PACKAGE.glob("*.py")}
    parts |= {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert parts == set(ALLOWED), "a new part needs its line in ALLOWED"


@pytest.mark.parametrize("part", ALLOWED)
def test_each_part_imports_only_what_lies_below_it(part):
    for path in files(part):
        own = {name.removeprefix("sqrtscale.") for name in imported(path) if name.partition(".")[0] == "sqrtscale"}
        allowed = ALLOWED[part] | MAY_ALSO.get(path.relative_to(PACKAGE).as_posix(), set())
        if part == "__init__":  # its public names come from the modules themselves
            assert own <= allowed, own
            continue
        wrong = {name for name in own if not any(name == one or name.startswith(f"{one}.") for one in allowed)}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("part", ALLOWED)
def test_each_part_uses_only_its_own_libraries(part):
    for path in files(part):
        wrong = outside(imported(path)) - OUTSIDE.get(part, set())
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_tasks_load_their_libraries_only_inside_functions():
    for path in files("tasks"):
        names = at_import(path)
        if path.name in ("transformer.py", "module.py", "models.py", "batch_norm.py", "running.py", "stacking.py",
                             "returned.py"):
            assert outside(names) == {"torch"}
        elif path.parts[-2:] == ("own", "loading.py"):  # the samples of the user's file
            assert outside(names) == {"torch", "numpy"}
        else:
            assert not outside(names), f"{path.name} loads {outside(names)}"
            assert not any("transformer" in name for name in names), f"{path.name} loads the transformer"


def test_pages_and_the_app_reach_only_the_user_interface_and_what_is_below():
    paths = [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]
    assert len(paths) >= 4
    for path in paths:
        names = imported(path)
        assert outside(names) <= {"streamlit"}, f"{path.name} imports {outside(names)}"
        assert not any(name.startswith("sqrtscale.training") for name in names), path


def test_nothing_but_pages_and_the_app_imports_the_user_interface():
    for path in PACKAGE.rglob("*.py"):
        if "ui" not in path.relative_to(PACKAGE).parts:
            assert not any(name.startswith(("sqrtscale.ui", "pages", "app.")) for name in imported(path)), path


def run(code: str) -> str:
    """The output of ``code`` in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after running ``code``."""
    return set(run(f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})").split())


def without(*packages: str) -> str:
    """Code that makes those packages impossible to import."""
    return ("import sys\n"
            "class Refuse:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.partition('.')[0] in {packages}:\n"
            "            raise ModuleNotFoundError('blocked: ' + name, name=name)\n"
            "sys.meta_path.insert(0, Refuse())\n")


def test_the_package_itself_loads_nothing_heavy():
    light = ("sqrtscale", "sqrtscale.cli", "sqrtscale.formats.snippets", "sqrtscale.training.events",
             "sqrtscale.transfer.checkpoint.result")
    assert not HEAVY & loaded_by(f"import {', '.join(light)}")


def test_rules_and_plan_need_nothing_but_python():
    run(without(*sorted(HEAVY)) + "from sqrtscale import TrainingConfig, scale\n"
        "from sqrtscale.plan import make_plan\n"
        "make_plan('digits', TrainingConfig('adam', 8), 16)\n"
        "assert scale(TrainingConfig('adam', 256), 1024).config['lr'] == 0.002")


@pytest.mark.parametrize("part", ["store", "runner", "evidence", "lab", "report", "ui", "cli"])
def test_what_serves_the_app_loads_no_torch(part):
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files(part)
               if path.stem not in ("child", "keeper", "__main__") and "migrations" not in path.parts]
    assert modules
    loaded = loaded_by(f"import {', '.join(modules)}")
    assert "torch" not in loaded and (part == "ui" or "streamlit" not in loaded)


BARE = ("streamlit", "sqlalchemy", "alembic", "plotly", "pandas", "pyarrow", "psycopg", "numba")
TRAIN = (
    "from sqrtscale.plan import make_plan\n"
    "from sqrtscale.rules import TrainingConfig\n"
    "from sqrtscale.training import calibrate, environment, estimate\n"
    "environment('cpu')\n"
    "plan = make_plan('{task}', TrainingConfig('adam', 8), 16, seeds=1, samples=32, start='scratch', device='cpu')\n"
    "events = list(calibrate(plan))\n"
    "assert any(type(event).__name__ == 'RunEnded' for event in events)")


@pytest.mark.parametrize("task, blocked", [
    ("digits", (*BARE, "scipy")),  # of scikit-learn it needs the data alone
    ("pydoc", (*BARE, "scipy", "sklearn")),
])
@pytest.mark.training
def test_training_needs_only_torch_numpy_and_scikit_learn(task, blocked):
    assert "torch" in loaded_by(without(*blocked) + TRAIN.format(task=task))


def test_a_transfer_needs_only_torch():
    run("import torch\n"
        "optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=1e-3)\n"  # torch looks for pandas, and may
        + without(*BARE, "scipy", "sklearn") + "import sqrtscale, sqrtscale.transfer.checkpoint.transfer_file\n"
        "sqrtscale.transfer_optimizer_(optimizer, 4)\n"
        "assert optimizer.param_groups[0]['lr'] == 2e-3")



def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def named_at_run_time(path: Path, call: ast.Call, modules: set[str]) -> set[str]:
    """Modules of ours that ``importlib.import_module`` or ``__import__`` may load by that call.

    ``f"{__name__}.{name}"`` may be any module below; a name that is made up elsewhere would hide what is imported.
    """
    package = module_name(path) if path.stem == "__init__" else module_name(path).rpartition(".")[0]
    first = call.args[0] if call.args else call.keywords[0].value
    parts = first.values if isinstance(first, ast.JoinedStr) else [first]
    start = getattr(parts[0], "value", None)
    if isinstance(start, ast.Name) and start.id in ("__name__", "__package__"):
        root = module_name(path) if start.id == "__name__" else package
        return {name for name in modules if name.startswith(f"{root}.")}
    assert isinstance(start, str), f"{path.relative_to(ROOT)} imports a name that it makes up at line {call.lineno}"
    name = f"{package}{start}" if start.startswith(".") else start
    if len(parts) > 1:
        return {module for module in modules if module.startswith(name)}
    return {name} & modules


def edges(path: Path, modules: set[str], nodes) -> set[str]:
    """Modules of ours that those nodes of a file import: by statements and by name."""
    reached = set()
    parts = module_name(path).split(".")
    package = parts if path.stem == "__init__" else parts[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            reached |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            reached |= {name if (name := f"{module}.{alias.name}") in modules else module for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            reached |= named_at_run_time(path, node, modules)
    return reached & modules - {module_name(path)}


def nodes_for_types(path: Path) -> tuple[list[ast.AST], list[ast.AST]]:
    """The nodes of a file, in functions too: those that run, and those that are for type checkers alone."""
    run, typed = [], []
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typed += [inner for statement in node.body for inner in ast.walk(statement)]
            waiting += node.orelse
            continue
        run.append(node)
        waiting += ast.iter_child_nodes(node)
    return run, typed


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that all lead to each other."""
    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    reached = {name: reachable(name) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]}
    return sorted(map(sorted, groups))


def import_graph(with_types: bool = False) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports itself; the packages around a module are not counted, whose files come first."""
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {}
    for name, path in paths.items():
        run, typed = nodes_for_types(path)
        graph[name] = edges(path, set(paths), [*run, *typed] if with_types else run)
    return graph


KNOW_EACH_OTHER = {  # for type checkers alone: importer -> what knows the importer as well
    "sqrtscale.training.executors": "sqrtscale.training.population",  # an executor works on the population that holds it
}


def test_there_is_no_circle_of_imports_at_import_in_functions_or_by_name():
    assert not circles(import_graph())


def test_types_close_no_circle_but_where_two_things_know_each_other():
    graph = import_graph(with_types=True)
    for name, reached in graph.items():
        for importer, other in KNOW_EACH_OTHER.items():
            if f"{name}.".startswith(f"{importer}."):
                reached.discard(other)
    assert not circles(graph)


@pytest.mark.parametrize("other", [
    "from . import a", "from .a import x", "from sqrtscale.evidence import a", "import sqrtscale.evidence.a",
    "def f():\n    from .a import x", "import importlib\nimportlib.import_module('sqrtscale.evidence.a')",
    "from importlib import import_module\nimport_module('.a', __package__)", "__import__(f'{__package__}.{x}')",
    "import importlib\nimportlib.import_module(f'{__package__}.{x}')"])
def test_a_circle_would_be_seen(tmp_path, monkeypatch, other):
    folder = tmp_path / "sqrtscale" / "evidence"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("from . import b")
    (folder / "b.py").write_text(other)
    (folder / "c.py").write_text("from . import a")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "sqrtscale")
    assert ["sqrtscale.evidence.a", "sqrtscale.evidence.b"] in [[name for name in circle if name[-1] in "ab"]
                                                                for circle in circles(import_graph())]
