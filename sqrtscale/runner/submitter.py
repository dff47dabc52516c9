"""Where and with what a calibration was submitted: it trains as if that process had started it, whoever does.

The scheduler is a process of whoever submitted first, with other environment variables, another interpreter and another folder.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..home import calibration_folder, home, owner_only
from ..processes import environment
from ..store.connect import absolute

FAMILIES = (
    "SQRTSCALE_", "HF_", "TORCH_", "PYTORCH_", "ATEN_", "NUMBA_",
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_", "DNNL_", "ONEDNN_",  # a CPU's threads and kernels
    "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "NCCL_",
    "HIP_", "ROCR_", "HSA_", "ROCM_", "ROCBLAS_", "HIPBLASLT_", "MIOPEN_", "GPU_", "RCCL_")  # of AMD
# Where the store is every process of a home knows, and what may be a password or a token is not written down.
NOT_KEPT = re.compile("SQRTSCALE_(DATABASE_URL|HOME)$|.*(TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL)")


@dataclass(frozen=True)
class Submitter:
    """The variables that a training depends on, the interpreter, and the working folder."""

    variables: dict[str, str]
    interpreter: str
    folder: str


def submitter_file(id: str) -> Path:
    """What is known of the process that has submitted it."""
    return calibration_folder(id) / "submitter.json"


def keep(id: str) -> None:
    """Note this process as the one that submits it."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        folder = os.sep
    text = json.dumps(asdict(Submitter(_kept(environment()), sys.executable, folder)))
    partial = submitter_file(id).with_suffix(".partial")
    with open(partial, "w", encoding="utf-8", opener=owner_only) as file:
        file.write(text)
    partial.replace(submitter_file(id))


def submitter(id: str) -> Submitter | None:
    """Who has submitted it, with what this process has in place of what is gone since; None where it is not known."""
    try:
        known = Submitter(**json.loads(submitter_file(id).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # of an earlier version
        return None
    if not os.access(known.interpreter, os.X_OK):
        own = {"PYTHONPATH": environment()["PYTHONPATH"]}
        known = replace(known, interpreter=sys.executable, variables=known.variables | own)
    return known if Path(known.folder).is_dir() else replace(known, folder=os.curdir)


def environment_of(known: Submitter) -> dict[str, str]:
    """This process's environment, with all that a training depends on as the submitter had it; the store is the same one."""
    own = environment()
    store = {"SQRTSCALE_HOME": str(home())} if own.get("SQRTSCALE_HOME") else {}
    if url := own.get("SQRTSCALE_DATABASE_URL"):
        store["SQRTSCALE_DATABASE_URL"] = absolute(url)
    kept = _kept(own)
    return {name: value for name, value in own.items() if name not in kept} | known.variables | store


def _kept(variables: Mapping[str, str]) -> dict[str, str]:
    names = {name for name in variables if name.startswith(FAMILIES) and not NOT_KEPT.match(name)} | {"PYTHONPATH"}
    return {name: variables[name] for name in sorted(names)}
