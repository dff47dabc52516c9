"""Limits: no text at its size limit, and no pattern, takes more than a few seconds of processor time, and real sizes are read.

The work is done in a process of its own whose processor time is limited before every step: what takes longer ends the process,
whatever else the machine does, and the last line that it wrote says which step it was.
"""

import ast
import importlib
import pkgutil
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sqrtscale.formats
from sqrtscale.formats._edit import edited
from sqrtscale.formats._parsing import SYNTAXES, as_text, parse
from sqrtscale.formats._syntax import syntax_of
from sqrtscale.rules import FieldError

SECONDS = 5  # a step that takes linear time needs less than a third of it, one that takes quadratic time many times as much
OPERATIONS = ("match", "search", "fullmatch", "finditer", "sub", "split", "findall")
VALUE = 100_000  # what is tried where a pattern sees single values: quadratic time shows there as well
MOST_FOR_A_PATTERN = 200_000  # what is linear there is so at a megabyte; quadratic time would be tens of seconds
LIMIT_OF = {"_json": "json", "_card": "card", "_parsing": "json", "_syntax": "json", "_doubles": "json", "_yaml": "yaml",
            "_toml": "toml", "_python": "python", "_source": "python", "_python_values": "python",
            "_command": "command", "_shell": "command", "_expansion": "command", "_launch": "command"}
UNITS = [
    "\n", " ", "\t", "\r\n", "a", "a ", "a\n", "a:", "a: ", "a=", "a = ", "a.", "a.b=", "-", "- ", "- a: ", "0", "0.", "1e",
    "1_", "_", '"',
    '\\"', "'", "\\'", "\\", "\\\n", '"""', "#", "# a\n", "$", "${", "$a", "${a", "$((", "[", "[[", "(", "()", "{", "}", "=",
    "<", "<<a\n",
    "--", "--a ", "--a=", "import ", "from a import ", "class ", "class a:\n", "def a(", "TrainingConfig", "TrainingConfig (",
    "= dict(",
    "betas=(", "betas=(a", "betas=(a, ", "epsilon=", "auto_scale_lr", "auto_scale_lr=dict(", "scaling_rule = ", "_args", "aB",
    "use_", "A=1 ",
    "python ", "!", "&", "&&", "[a]\n", '"a".', "é", "\u00a0", "100ba"]
STARTS = ["class ", "def ", "from ", "import ", '"', "'", "$", "${", "- a:", "- a: b", "betas=(", "betas=(a,", "epsilon=", "[",
          "[[a", "x = ", "--", "--a",
          "a.", "#!", "$a_", "auto_scale_lr=dict("]
FILLERS = [" ", "a", "\n"]

TEXTS = {  # what each parser is slowest with, and what was quadratic once
    "json": ["\n", '{"a":1,', '\\"', "[", '[1,1],', '"a":1,"a":1,', "1" * 300 + ","],
    "yaml": ["\n", "a: 1\n", "?,", "- a: 1\n  b: 2\n", "*a,", "'", "? \n", "\\\"", "!a ", "{a: 1},"],
    "toml": ["\n", "a.b.", "[[a]]\n", "[a.b]\n", "1,", "a='b'\n", '"a".', "\\\"", "{a=1},", "#\n"],
    "python": ["\n", "x=x+1\n", "a;", "'\\''", "class ", "(a,", "x=[1]\n", "TrainingConfig(a=1)\n", "é=1\n", "f'{a}'"],
    "card": ["\n", "- learning_rate: ", "- seed: 1\n", " - a: b\r\n", "betas=(", "- a: " + " " * 50],
    "command": ["\n", "a|", "--a 1 ", "$A ", "$(a) ", "`a` ", 'A="$A x"\n', "A+=x\n", "A=(1 2)\n", "${A[@]} ", "x=1 ",
                "t --a 1\n", "<<E\n", "\\ "],
}
HEADS = {"json": ["", "["], "yaml": ["", "a: [", 'a: "'], "toml": ["", "x = [", "x = {"], "python": ["", "x = ("],
         "card": ["", "- optimizer: "],
         "command": ["t --a "]}


def within(seconds: int) -> None:
    """Let this process end if it needs more processor time than that from now on."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, resource.RLIM_INFINITY))


def patterns() -> Iterator[tuple[str, re.Pattern, str, int]]:
    """Every pattern of the package, with an operation that the package uses it for (where that is not to be seen, each) and the
    longest text that is tried."""
    for module in pkgutil.iter_modules(sqrtscale.formats.__path__):
        if module.ispkg:
            continue
        names = vars(importlib.import_module(f"sqrtscale.formats.{module.name}"))
        longest = SYNTAXES[LIMIT_OF[module.name]].most_characters if module.name in LIMIT_OF else VALUE
        size = min(longest, MOST_FOR_A_PATTERN)
        used: set[tuple[str, str]] = set()
        for node in ast.walk(ast.parse(Path(module.module_finder.path, f"{module.name}.py").read_text())):
            if isinstance(node, ast.Attribute) and node.attr in OPERATIONS and isinstance(node.value, ast.Name):
                used.add((node.value.id, node.attr))
            elif (isinstance(node, ast.Call) and ast.unparse(node.func) in {f"re.{operation}" for operation in OPERATIONS}
                  and isinstance(node.args[0], ast.Constant)):
                yield f"{module.name}:{node.lineno}", re.compile(node.args[0].value), node.func.attr, size
        compiled = {name: value for name, value in names.items() if isinstance(value, re.Pattern)}
        compiled |= {f"_IN_TEXT {key}": re.compile(value) for key, value in names.get("_IN_TEXT", {}).items()}
        for name, pattern in compiled.items():
            operations = [operation for other, operation in used if other == name]
            for operation in operations or (["search"] if name.startswith("_IN_TEXT") else OPERATIONS[:4]):
                yield f"{module.name}.{name}.{operation}", pattern, operation, size


def run(pattern: re.Pattern, operation: str, text: str) -> None:
    if operation == "sub":
        pattern.sub("", text)
    elif operation == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, operation)(text)


def run_quadratic(size: str) -> None:
    within(SECONDS)
    run(re.compile(r"\s*:"), "search", " " * int(size))


def run_patterns(limit: str) -> None:
    size = int(limit)
    for name, pattern, operation in [each[:3] for each in patterns() if each[3] == size]:
        for unit in UNITS:
            within(SECONDS)
            print(name, repr(unit), flush=True)
            run(pattern, operation, unit * (size // len(unit)))
        for start in STARTS:
            for filler in FILLERS:
                within(SECONDS)
                print(name, repr(start), repr(filler), flush=True)
                run(pattern, operation, start + filler * ((size - len(start)) // len(filler)))


def run_syntax(syntax: str) -> None:
    for head in HEADS[syntax]:
        for unit in TEXTS[syntax]:
            within(SECONDS)
            print(syntax, repr(head), repr(unit), flush=True)
            text = head + unit * ((SYNTAXES[syntax].most_characters - len(head)) // len(unit))
            try:
                document = parse(as_text(text), syntax)
                syntax_of(text)
                edited(document, {path: 2 for path in list(document.spans)[:1] if document.get(path) == 1})
            except FieldError as error:
                assert "\n" not in str(error) and len(str(error)) < 600


def in_a_process(*arguments: str, ended_by: int = 0) -> None:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    assert done.returncode == -ended_by, (done.stdout.splitlines()[-1:], done.stderr[-2000:])


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_text_takes_long_at_the_limit_of_its_syntax(syntax):
    in_a_process("syntax", syntax)


@pytest.mark.parametrize("size", sorted({size for *_, size in patterns()}))
def test_no_pattern_takes_long(size):
    in_a_process("patterns", str(size))


def test_patterns_are_tried_as_the_package_uses_them():
    tried = {name for name, *_ in patterns()}
    assert {"_parsing._CONTROL.search", "_source._TOKEN.finditer", "_card._LINE.finditer", "_card._PAIR.search"} <= tried
    assert len(tried) > 50


def test_a_quadratic_pattern_would_be_found():
    in_a_process("quadratic", str(MOST_FOR_A_PATTERN), ended_by=signal.SIGXCPU)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_lengths_are_checked_before_anything_else(syntax):
    with pytest.raises(FieldError, match="give the training configuration alone, at most"):
        parse("x" * (SYNTAXES[syntax].most_characters + 1), syntax)
    with pytest.raises(FieldError, match="2,000,000 characters"):
        as_text("\n" * 2_000_000)


def test_configurations_of_real_sizes_are_read():
    """OLMo's and MaxText's files have 60,000 to 100,000 characters, most of them lists of data and comments."""
    paths = "".join(f"    - s3://bucket/preprocessed/corpus/v1_6/gpt-neox-20b/part-{i:03d}-00001.npy\n" for i in range(1200))
    keys = "".join(f"# what key {i} is for, in a sentence of ordinary length, as people write them\nkey_{i}: {i}\n"
                   for i in range(200))
    text = (f"run_name: x\noptimizer:\n  name: adamw\n  learning_rate: 3.0e-4\n{keys}data:\n  paths:\n{paths}"
            "global_train_batch_size: 2048\n")
    assert 95_000 < len(text) < 130_000
    document = parse(text, "yaml")
    assert document.data["optimizer"] == {"name": "adamw", "learning_rate": 3e-4} and len(document.data["data"]["paths"]) == 1200
    assert edited(document, {("optimizer", "learning_rate"): 6e-4}) == text.replace("3.0e-4", "6.0e-4")


if __name__ == "__main__":
    {"syntax": run_syntax, "patterns": run_patterns, "quadratic": run_quadratic}[sys.argv[1]](sys.argv[2])
