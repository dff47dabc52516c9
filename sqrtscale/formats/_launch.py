"""How a command line starts its program: the launcher with its facts, the script, and the words that are left for the script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ._document import Path
from ._words import Word
from ._yaml import parse_number

LAUNCHERS = {"torchrun": "torchrun", "deepspeed": "deepspeed", "mpirun": "mpirun", "mpiexec": "mpirun", "srun": "srun",
             "composer": "composer", "horovodrun": "horovodrun"}
WITH_VERB = {("accelerate", "launch"): "accelerate", ("tune", "run"): "torchrun"}
MODULES = {"torch.distributed.run": "torchrun", "torch.distributed.launch": "torchrun", "torch.distributed.elastic": "torchrun",
           "accelerate.commands.launch": "accelerate", "deepspeed.launcher.runner": "deepspeed"}
SHORT = {("mpirun", "n"): "np", ("mpirun", "c"): "np", ("srun", "n"): "ntasks", ("srun", "N"): "nodes", ("srun", "G"): "gpus",
         ("composer", "n"): "nproc", ("horovodrun", "np"): "np"}
ALONE = frozenset({  # options of launchers that no value follows
    "standalone", "no_python", "use_env", "run_path", "multi_gpu", "cpu", "tpu", "use_deepspeed", "use_fsdp", "use_megatron_lm",
    "use_xpu", "debug", "quiet", "same_network", "no_local_rank", "no_ssh", "no_ssh_check", "force_multi", "save_pid",
    "exclusive", "label", "l", "unbuffered", "u", "pty", "allow_run_as_root", "oversubscribe", "tag_output", "verbose", "v", "K"})
PAIRS = frozenset({"mca", "gmca"})  # options of launchers that two values follow
WRAPPERS = frozenset({
    "nohup", "exec", "env", "sudo", "nice", "uv", "poetry", "conda", "pipenv", "singularity", "apptainer", "docker", "numactl",
    "taskset", "time", "stdbuf", "eval", "wandb", "ipython"})
NOT_TRAINING = frozenset({
    "[", "[[", "test", "echo", "printf", "cat", "cd", "mkdir", "rm", "ls", "cp", "mv", "ln", "tar", "unzip", "wget", "curl",
    "git", "pip", "pip3", "apt", "apt-get", "module", "source", ".", "set", "shopt", "sleep", "kill", "pkill", "grep", "sed",
    "awk", "find", "sort", "head", "tail", "tee", "sbatch", "scontrol", "squeue", "chmod", "touch", "date", "hostname",
    "nvidia-smi", "ssh", "scp", "rsync", "aws", "gsutil", "huggingface-cli", "hf", "read", "unset", "let", "declare", "typeset",
    "local", "export", "trap", "exit", "return", "shift", "wait", "ulimit", "which", "command", "getopt", "getopts", "npm",
    "make", "cmake", "brew"})
_PYTHON = re.compile(r"python[\d.]*+|bash|sh|zsh|node")
_OPTION = re.compile(r"(--?)([A-Za-z][^\s=]*+)(=?)")
_ENVIRONMENT = re.compile(r"([A-Za-z_]\w*+)=")


@dataclass(frozen=True)
class Setting:
    """One option with the words of its value; at: where it starts; end: where it ends."""

    path: Path
    values: tuple[Word, ...]
    at: int
    end: int


@dataclass
class Launch:
    """program, script: as written, or None; facts: settings below "launcher"; rest: the words after the script."""

    at: int
    program: str | None = None
    script: Word | None = None
    facts: list[Setting] = field(default_factory=list)
    rest: list[Word] = field(default_factory=list)


def option(word: Word) -> re.Match[str] | None:
    """The match of an option: its dashes, its name, "=" where its value is part of the word. A negative number is none."""
    text = word.beginning
    match = _OPTION.match(text)
    if not match or parse_number(text) is not None or (word.text is None and not match[3]):
        return None
    return match


def launch_of(words: list[Word]) -> Launch | None:
    """How those words start a program, or None for a command of the shell's own or of another kind."""
    launch = Launch(words[0].start)
    at = 0
    while at < len(words) and (variable := _ENVIRONMENT.match(words[at].beginning)) and not option(words[at]):
        value = words[at].after(variable.end())
        launch.facts.append(Setting(("launcher", "environment", variable[1]), (value,), words[at].start, words[at].end))
        at += 1
    while at < len(words):
        name = _program(words[at])
        if name in NOT_TRAINING:
            return None
        verb = WITH_VERB.get((name, _program(words[at + 1]) if at + 1 < len(words) else ""))
        if name == "":  # $PYTHON, or the like
            at += 1
        elif name in WRAPPERS:
            at = next((i for i in range(at + 1, len(words)) if _is_program(words[i])), len(words))
        elif verb or name in LAUNCHERS:
            launch.program = verb or LAUNCHERS[name]
            at, done = _facts(launch, words, at + (2 if verb else 1))
            if done:
                break
        elif _PYTHON.fullmatch(name):
            launch.program = launch.program or name
            at, done = _interpreter(launch, words, at + 1)
            if at < 0:
                return None
            if done:
                break
        else:
            if not option(words[at]):
                launch.script = words[at]
                at += 1
            break
    launch.rest = words[at:]
    return launch


def _program(word: Word) -> str:
    """The name of a program without its folder, "" where only running tells."""
    return (word.text or "").lstrip("!").rpartition("/")[2]


def _is_program(word: Word) -> bool:
    name = _program(word)
    return bool(_PYTHON.fullmatch(name)) or name in LAUNCHERS or name in ("accelerate", "tune") or name.endswith(".py")


def _interpreter(launch: Launch, words: list[Word], at: int) -> tuple[int, bool]:
    """Past python's own options: where the script's words start, and whether the script is known; -1 for ``python -c``."""
    while at < len(words) and (words[at].text or "").startswith("-"):
        flag = words[at].text or ""
        if flag == "-c":
            return -1, True
        if flag == "-m" and at + 1 < len(words):
            module = words[at + 1].text or ""
            if module not in MODULES:
                launch.script = words[at + 1]
                return at + 2, True
            launch.program = MODULES[module]
            return _facts(launch, words, at + 2)
        if flag.startswith("--"):
            return at, True
        at += 2 if flag in ("-W", "-X") else 1
    if at < len(words):
        launch.script = words[at]
    return at + 1, True


def _facts(launch: Launch, words: list[Word], at: int) -> tuple[int, bool]:
    """The launcher's own options; afterwards as for an interpreter."""
    while at < len(words) and (match := option(words[at])):
        name = match[2].replace("-", "_")
        name = SHORT.get((launch.program or "", name), name)
        if name in ("m", "module") and not match[3]:
            launch.script = words[at + 1] if at + 1 < len(words) else None
            return at + 2, True
        if match[3]:
            values: tuple[Word, ...] = (words[at].after(match.end()),)
        else:
            count = 0 if name in ALONE else 2 if name in PAIRS else 1
            values = tuple(_until_program(words[at + 1:at + 1 + count]))
        end = at if match[3] else at + len(values)
        launch.facts.append(Setting(("launcher", name), values, words[at].start, words[end].end))
        at = end + 1
    return at, False


def _until_program(words: list[Word]) -> Iterator[Word]:
    for word in words:
        if option(word) or _is_program(word):
            return
        yield word
