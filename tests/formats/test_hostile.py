"""Hostile, broken and senseless input: one readable sentence, soon, whatever it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NAMES, text_of

from sqrtscale.formats import FORMATS, Imported, double_scaling, double_scaling_in_text, read
from sqrtscale.formats._parsing import SYNTAXES, parse
from sqrtscale.rules import FieldError

FUZZ = settings(max_examples=100, deadline=None)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{now}: &{now} [{', '.join([f'*{before}'] * 9)}]\n" for before, now in zip("abcdefgh", "bcdefghi", strict=True))
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{now}: &{now} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, now in zip("abcdefgh", "bcdefghi", strict=True))

HOSTILE = {  # text -> part of the sentence
    "10 MB of YAML": ("a: 1\n" * 2_000_000, "10,000,000 characters"),
    "10 MB of JSON": ("[" + "1," * 5_000_000 + "1]", "10,000,003 characters"),
    "10 MB on one line": ("x" * 10_000_000, "10,000,000 characters"),
    "many values": ("[" + "1," * 400_000 + "1]", "more than 100,000 values"),
    "deep JSON lists": ("[" * 100_000, "nested more than 50 deep"),
    "deep JSON objects": ('{"a":' * 100_000, "nested more than 50 deep"),
    "deep YAML flow": ("a: " + "[" * 50_000, "nested more than 50 deep"),
    "100,000 brackets in YAML": ("a: " + "[" * 100_000, "nested more than 50 deep"),
    "deep YAML lists": ("- " * 20_000, "nested more than 50 deep"),
    "deep YAML blocks": ("".join(" " * i + "a:\n" for i in range(300)), "nested more than 50 deep"),
    "deep TOML": ("a = " + "[" * 100_000, "nested more than 50 deep"),
    "dotted TOML": ("a" + ".a" * 50_000 + " = 1", "nested more than 50 deep"),
    "deep Python": ("TrainingConfig(steps=" + "(" * 100_000, "nested more than 50 deep"),
    "a call without end": ("TrainingConfig(steps=1, " + "a" * 100_000, "was never closed at line 1, column 15"),
    "a string without end": ('TrainingConfig("""' + '"' * 100_000, "unterminated string literal"),
    "billion laughs": (BOMB, "more than 100,000 values"),
    "billion merges": (MERGES, "more than 100,000 values"),
    "an alias of itself": ("a: &a [*a]", "nested more than 50 deep"),
    "a merge of itself": ("a: &a\n  <<: *a\n", "nested more than 50 deep"),
    "NaN in JSON": ('{"learning_rate": NaN}', "learning_rate = nan is not a finite number"),
    "infinity in JSON": ('{"a": {"b": [-Infinity]}}', "a.b[0] = -inf is not a finite number"),
    "overflow in JSON": ('{"lr": 1e999}', "lr = inf is not a finite number"),
    "NaN in YAML": ("lr: .nan", "lr = nan is not a finite number"),
    "infinity in YAML": ("lr: -.INF", "lr = -inf is not a finite number"),
    "overflow in YAML": ("lr: 1e999", "lr = inf is not a finite number"),
    "NaN in TOML": ("[optimizer]\nlr = nan\n", "optimizer.lr = nan is not a finite number"),
    "a long number in JSON": ('{"a": ' + "1" * 5000 + "}", "too many digits"),
    "a long number in TOML": ("a = " + "1" * 5000, "too many digits"),
    "a key twice in TOML": ("lr = 1\nlr = 2\n", "is not TOML"),
    "a key twice in Python": ("TrainingConfig(steps=1, steps=2)", "steps = 'two values' stands twice"),
    "a line twice on a card": ("- learning_rate: 1\n- learning_rate: 2\n", "stands twice on the card"),
    "binary": (b"\x80\x04\x95\xff\x00", "are not UTF-8 text"),
    "a zip archive": (b"PK\x03\x04\x14\x00", "control character"),
    "NUL": ("a\x00b", "control character '\\x00' at line 1, column 2"),
    "a surrogate": ("a: \ud800", "control character '\\ud800'"),
    "nothing": ("", "is empty"),
    "blanks": (" \n\t \n", "is empty"),
    "no text": (17, "is not text"),
    "a YAML object": ("!!python/object/apply:os.system ['x']", "is not recognised"),
    "a YAML tag in a field": ("per_device_train_batch_size: 8\nlearning_rate: !!python/name:os.system\n", "learning_rate"),
    "a YAML directive": ("%YAML 9.9\n---\na: 1\n", "is not YAML"),
    "two YAML documents": ("a: 1\n---\nb: 2\n", "is not YAML"),
    "a YAML key that is a list": ("? [1, 2]\n: 3\n", "is no name"),
    "tabs in YAML": ("a:\n\tb: 1\n", "is not YAML"),
    "trailing comma": ('{"a": 1,}', "is not JSON: '}' stands at line 1, column 9"),
    "comment in JSON": ('{"a": 1 // x\n}', "is not JSON"),
    "half of JSON": ('{"a": ', "is not JSON: it ends at line 1"),
    "a page": ("<html><body>404</body></html>", "is not recognised"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_one_readable_sentence(name):
    text, said = HOSTILE[name]
    with pytest.raises(FieldError) as error:
        read(text)
    assert said in str(error.value)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_each_syntax_has_its_limit(syntax):
    with pytest.raises(FieldError, match="give the training configuration alone"):
        parse("x" * (SYNTAXES[syntax].most_characters + 1), syntax)


def places(data, path=()):
    """The path of every value in plain data."""
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(data, path, value):
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


WRONG = ["text", "", True, [], [1, 2], {}, {"a": 1}, -1, 0, 10**30, 1.5, None, "auto", "nan", "1" * 1000]


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
def test_any_value_of_any_type_anywhere_is_read_or_refused_in_json(name):
    data = json.loads(text_of(name))
    for path in places(data):
        for wrong in WRONG:
            read_or_refuse(json.dumps(changed(data, path, wrong)))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith((".yaml", ".yml", ".toml", ".py", ".md"))])
def test_any_value_of_any_type_anywhere_is_read_or_refused(name):
    text = text_of(name)
    for i, line in enumerate(lines := text.splitlines()):
        mark = next((mark for mark in (": ", " = ", "=") if mark in line), None)
        if mark:
            for wrong in WRONG:
                new = line[:line.index(mark)] + mark + json.dumps(wrong)
                read_or_refuse("\n".join([*lines[:i], new, *lines[i + 1:]]), name)


def read_or_refuse(text, filename=""):
    """An import, or the one error that it may raise; a configuration, or that error."""
    try:
        found = read(text, filename)
    except FieldError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000, str(error)
        return
    assert isinstance(found, Imported) and found.format in FORMATS
    try:
        config = found.config({question.field: "adamw" if question.field == "optimizer" else 8 for question in found.questions})
    except FieldError:
        return
    assert config.batch_size >= 1


@pytest.mark.parametrize("field, said", [
    ({"learning_rate": "fast"}, "learning_rate = 'fast' is not allowed"),
    ({"learning_rate": -1}, "learning_rate = -1 is not allowed"),
    ({"adam_beta1": 1.5}, "adam_beta1 = 1.5 is not a decay rate"),
    ({"adam_beta2": True}, "adam_beta2 = True is not a decay rate"),
    ({"per_device_train_batch_size": 0}, "per_device_train_batch_size = 0 is not allowed"),
    ({"per_device_train_batch_size": [8]}, "per_device_train_batch_size = [8] is not allowed"),
    ({"optim": 3}, "optim = 3 is not a text"), ({"warmup_steps": {}}, "warmup_steps = {} is not a number"),
    ({"max_steps": 10.5}, "max_steps = 10.5 is not allowed"), ({"max_grad_norm": -1}, "max_grad_norm = -1 is not allowed"),
])
def test_a_wrong_value_is_named_by_the_files_own_key(field, said):
    with pytest.raises(FieldError) as error:
        read(json.dumps({"per_device_train_batch_size": 8, "optim": "adamw_torch", **field}))
    assert str(error.value).startswith(said)


@FUZZ
@given(st.text())
def test_any_text_is_read_or_refused(text):
    read_or_refuse(text)


@FUZZ
@given(st.binary())
def test_any_bytes_are_read_or_refused(content):
    read_or_refuse(content)


@FUZZ
@given(st.text(alphabet="{}[]()\":,'-=.#&*!|>%@?\\ \n\t0aé"), st.sampled_from(["", "x.json", "x.yaml", "x.toml", "x.py", "x.md"]))
def test_any_punctuation_is_read_or_refused(text, filename):
    read_or_refuse(text, filename)


@FUZZ
@given(st.sampled_from(NAMES), st.data())
def test_any_damage_to_a_real_file_is_read_or_refused(name, data):
    text = text_of(name)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 80)))
    words = ["auto", "null", "{", "}", "[", "]", "*", "&a ", "<<: ", "1e400", "-", "\n"]
    new = data.draw(st.text(max_size=8) | st.sampled_from(words))
    read_or_refuse(text[:start] + new + text[end:], data.draw(st.sampled_from(["", name])))


@FUZZ
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["optimizer", "params", "lr", "betas", "type", "train_batch_size", "trainer", "config", "class_name",
                         "learning_rate", "beta_1", "param_groups", "kwargs", "b1", "scheduler", "init_args", "model", "opt",
                         "sched", "opt_kwargs", "auto_scale_lr", "nbs", "devices", "data"]), inner, max_size=5), max_leaves=20))
def test_any_data_is_read_or_refused(data):
    read_or_refuse(json.dumps(data))
    assert all(isinstance(said, str) for said in double_scaling(data))


# Programs that scale by themselves

@pytest.mark.parametrize("data, key", [
    ({"auto_scale_lr": {"enable": True, "base_batch_size": 16}}, "auto_scale_lr"),
    ({"train": {"scale_lr": True}}, "train.scale_lr"),
    ({"optim": {"scaling_rule": "sqrt_wrt_1024"}}, "optim.scaling_rule"), ({"basic_lr_per_img": 0.01 / 64}, "basic_lr_per_img"),
    ({"data_efficiency": {"data_sampling": {"dynamic_batching": {"enabled": True}}}}, "dynamic_batching"), ({"nbs": 64}, "nbs"),
    ({"trainer": {"learning_rate_scaling": "linear"}}, "learning_rate_scaling"), ({"learning_rate_scaler": "BATCH"}, "scaler"),
    ({"SOLVER": {"REFERENCE_WORLD_SIZE": 8}}, "REFERENCE_WORLD_SIZE"), ({"mini-batch-words-ref": 4000}, "words-ref")])
def test_a_program_that_scales_again_is_named_with_what_to_set(data, key):
    said, = double_scaling([{"some": [data]}])
    assert key in said and (": set " in said or ": give " in said or ": turn " in said)


@pytest.mark.parametrize("data", [
    {"auto_scale_lr": {"enable": False, "base_batch_size": 16}}, {"auto_scale_lr": {"base_batch_size": 16}}, {"scale_lr": False},
    {"scaling_rule": "none"}, {"dynamic_batching": {"enabled": True, "lr_scaling_method": "none"}},
    {"dynamic_batching": {"enabled": False}}, {"learning_rate_scaling": "constant"}, {"learning_rate_scaler": "NONE"},
    {"REFERENCE_WORLD_SIZE": 0}, {"nbs": None}, {"lr": 0.1}])
def test_a_program_that_does_not_scale_is_left_alone(data):
    assert double_scaling(data) == ()


@pytest.mark.parametrize("text, key", [
    ("model = dict(type='x')\nauto_scale_lr = dict(enable=True, base_batch_size=16)\n", "auto_scale_lr"),
    ("class Exp(MyExp):\n    def __init__(self):\n        self.basic_lr_per_img = 0.01 / 64.0\n", "basic_lr_per_img"),
    ("accelerate launch train.py --scale_lr --learning_rate=1e-4\n", "scale_lr"),
    ("task: detect\nbatch: 16\nnbs: 64\nlr0: 0.01\n", "nbs")])
def test_a_file_of_no_known_format_is_refused_with_a_warning_of_double_scaling(text, key):
    with pytest.raises(FieldError, match=f"is not recognised.*Beware: {key}: "):
        read(text)
    assert double_scaling_in_text("auto_scale_lr = dict(enable=False, base_batch_size=16)") == ()


def test_double_scaling_inside_a_known_format():
    found = read('{"train_batch_size": 64, "optimizer": {"type": "AdamW", "params": {"lr": 0.1}}, "data_efficiency": '
                 '{"data_sampling": {"dynamic_batching": {"enabled": true, "lr_scaling_method": "sqrt"}}}}')
    assert found.double_scaling[0].startswith("data_efficiency.data_sampling.dynamic_batching: DeepSpeed scales lr")
