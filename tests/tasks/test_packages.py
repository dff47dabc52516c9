"""Tasks that an installed package offers: found and read without importing anything of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from sqrtscale.rules import FieldError
from sqrtscale.tasks.adapters.packages import file_of, packaged

TABLE = (Path(__file__).parents[1] / "recipes" / "own" / "table.py").read_text()
POINTS = """[sqrtscale.tasks]
rows = sick_rows.deep.rows
attribute = sick_rows.deep.rows:model
nowhere = sick_rows.deep.nothing
nobody = nobody_installed
compiled = math
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """Where pip has installed a package whose own modules end every process that imports them."""
    folder = tmp_path_factory.mktemp("package")
    source, target = folder / "source", folder / "target"
    (source / "sick_rows" / "deep").mkdir(parents=True)
    for folder in ("sick_rows", "sick_rows/deep"):
        (source / folder / "__init__.py").write_text("raise SystemExit('imported')")
    (source / "sick_rows" / "deep" / "rows.py").write_text(TABLE)
    (source / "setup.cfg").write_text("[metadata]\nname = sick-rows\nversion = 1.0\n[options]\npackages = find:\n"
                                      "[options.entry_points]\n" + POINTS[1:].replace("sqrtscale.tasks]", "sqrtscale.tasks =")
                                      .replace("\n", "\n    "))
    (source / "setup.py").write_text("from setuptools import setup\nsetup()\n")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet",
                           "--disable-pip-version-check", "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def installed(target, monkeypatch):
    """That folder, where Python looks for packages."""
    monkeypatch.syspath_prepend(str(target))
    return target


def test_a_packages_task_is_listed_and_added_without_importing_the_package(installed, home, capsys):
    from sqrtscale.cli import main

    path = installed / "sick_rows" / "deep" / "rows.py"
    assert list(packaged()) == ["attribute", "compiled", "nobody", "nowhere", "rows"] and file_of("rows") == path
    assert main(["tasks", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "Regression on a table of diabetes patients" in lines["package:rows"] and lines["package:rows"].endswith(str(path))
    assert "names an attribute: let it name the module, sick_rows.deep.rows" in lines["package:attribute"]
    assert main(["tasks", "add", "package:rows", "--device", "cpu"]) == 0
    assert "rows is added: sqrtscale calibrate --task rows" in capsys.readouterr().out
    assert main(["tasks", "list"]) == 0
    told = capsys.readouterr().out
    assert f"  {path}\n" in told and "package:rows" not in told
    assert not any(name.startswith("sick_rows") for name in sys.modules)


@pytest.mark.parametrize(("name", "sentence"), [
    ("nowhere", "names no module of Python source that is installed"), ("nobody", "names no module of Python source"),
    ("compiled", "names no module of Python source"),
    ("other", "is not there: give one of attribute, compiled, nobody, nowhere, rows"),
])
def test_an_entry_point_that_leads_to_no_file_is_refused_with_a_sentence(installed, name, sentence):
    with pytest.raises(FieldError) as error:
        file_of(name)
    assert sentence in str(error.value)
