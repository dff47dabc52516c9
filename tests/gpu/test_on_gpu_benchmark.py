"""The command for the day a GPU is there, in the reduced form that needs none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_NEEDED = ("streamlit", "sqlalchemy", "alembic", "plotly", "pandas", "pyarrow", "psycopg")
REFUSING = f"""
import sys
from importlib.machinery import ModuleSpec
class Refuse:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.partition('.')[0] in {NOT_NEEDED} else None
    def create_module(self, spec):
        raise ModuleNotFoundError('blocked: ' + spec.name, name=spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Refuse())
"""
TITLES = ["Doctor", "Captured against eager", "Memory, predicted and used", "Precision",
          "A large model against the device's ceilings", "A step fused by torch.compile", "How a process with CUDA graphs ends",
          "Default calibrations", "Against a plain and a hand-tuned loop"]


@pytest.mark.slow
def test_it_runs_without_a_gpu_and_with_few_libraries(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(REFUSING)
    written = tmp_path / "GPU.md"
    known = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run([ROOT / "benchmarks" / "on_gpu.sh", "--device", "cpu", "--output", written, "--minutes", "15"],
                          capture_output=True, text=True, env=known)
    said = written.read_text()
    assert done.returncode == 0 and "It ended early" not in said and "failed:" not in said, said + done.stderr
    assert [line.removeprefix("## ") for line in said.splitlines() if line[3:] in TITLES] == TITLES
    assert "# The reduced form, on a CPU: it measures nothing" in said and "calibrations run on the CPU" in said
    assert said.count("| digits |") >= 5 and "| ours |" in said and "| plain |" in said
    assert "| 2 x 1,000 | operation by operation |" in said


def test_what_has_no_time_left_is_named_not_run(tmp_path):
    written = tmp_path / "GPU.md"
    done = subprocess.run([ROOT / "benchmarks" / "on_gpu.sh", "--device", "cpu", "--output", written, "--minutes", "0.01"],
                          capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable})
    assert done.returncode == 1 and written.read_text().count("Not run: the 0.01 minutes were over.") == len(TITLES)
