"""How many devices a command starts its program on, by the options and variables of its launcher.

Looked up: torch/distributed/run.py (one process on one node where nothing is said), accelerate/commands/launch.py (num_processes
is of all machines), deepspeed/launcher/runner.py (num_gpus is of one node), composer/cli/launcher.py.
"""

from __future__ import annotations

from typing import Any

from ._document import Document, Path
from ._yaml import parse_number

TOTALS = {"accelerate": "num_processes", "mpirun": "np", "horovodrun": "np", "srun": "ntasks"}
ON_A_NODE = {"torchrun": ("nproc_per_node", "nnodes", 1), "deepspeed": ("num_gpus", "num_nodes", None),
             "composer": ("nproc", None, None)}
VISIBLE = "CUDA_VISIBLE_DEVICES"
FILES = ("config", "c", "cfg", "config_file", "config_path", "yaml_cfg", "args_file", "params")  # options that name one
SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".py")


def launched(document: Document) -> tuple[int, Path | None] | None:
    """The number of processes, each on a device of its own, and the place of that number if one number alone says it.

    None where the text is no command, or where only running it tells.
    """
    if document.syntax != "command":
        return None
    about = document.get(("launcher",)) or {}
    program, environment = str(about.get("program")), about.get("environment") or {}
    if program in TOTALS:
        return _counted(about, ("launcher",), TOTALS[program], None, None)
    if program in ON_A_NODE:
        listed = about.get("include")
        if isinstance(listed, str) and ":" in listed and "@" not in listed:  # deepspeed's localhost:0,1
            return listed.count(",") + 1, None
        return _counted(about, ("launcher",), *ON_A_NODE[program])
    if "NPROC_PER_NODE" in environment:  # read by ms-swift and LLaMA-Factory
        return _counted(environment, ("launcher", "environment"), "NPROC_PER_NODE", "NNODES", 1)
    if str(about.get("script")).endswith("distributed_train.sh"):  # timm's, whose first word is the number
        count = _whole((about.get("arguments") or [None])[0])
        return (count, None) if count else None
    return (1, None) if str(environment.get(VISIBLE)).isdecimal() else None  # of several, the program may take one or all


def named_file(document: Document) -> str:
    """The file of settings that a command names beside its options, or nothing."""
    if document.syntax != "command":
        return ""
    words = [document.get((name,)) for name in FILES] + list(document.get(("launcher", "arguments")) or ())
    return next((word for word in words if isinstance(word, str) and word.endswith(SUFFIXES)), "")


def _counted(
    table: dict[str, Any], path: Path, each: str, nodes: str | None, default: int | None
) -> tuple[int, Path | None] | None:
    count = _whole(table.get(each, default))
    times = _whole(table.get(nodes, 1)) if nodes else 1
    if count is None or times is None:
        return None
    return count * times, (*path, each) if times == 1 and each in table else None


def _whole(value: Any) -> int | None:
    amount = parse_number(value) if isinstance(value, str) else value
    return amount if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0 else None
