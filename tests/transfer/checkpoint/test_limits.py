"""Whatever a file holds, it is moved or refused in one sentence: structural faults, exaggerations, and random ones."""

import copy
import io
import os
import pickle
import struct
import warnings
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transfer.checkpoint import shapes

from sqrtscale.rules import FieldError
from sqrtscale.transfer.checkpoint import reading
from sqrtscale.transfer.checkpoint.reading import read
from sqrtscale.transfer.checkpoint.summary import summary
from sqrtscale.transfer.checkpoint.transfer_file import transfer_checkpoint
from sqrtscale.transfer.optimizer import transfer_state_dict

ONE = torch.rand(1)


def nested(depth, width=10):
    """Lists in lists that refer to the same one: few in the file, width^depth for who follows every reference."""
    value = [1.0]
    for _ in range(depth):
        value = [value] * width
    return value


def a_cycle():
    value = []
    value.append(value)
    return value


def spoilt(group=None, state=None, **more):
    """A small AdamW checkpoint with other values in its group and in the state of its parameter."""
    content = shapes.one_group(
        {**shapes.moments(8), "step": torch.tensor(40.0), **(state or {})},
        betas=(0.9, 0.99),
        eps=1e-8,
        amsgrad=False,
        decoupled_weight_decay=True,
    )
    content["param_groups"][0] |= group or {}
    return {**content, **more}


FAULTS = {
    "lr as an expanded tensor": (spoilt({"lr": ONE.expand(10**10)}), r"lr = 'tensor of shape \(10000000000,\)' is not one real"),
    "lr as a meta tensor": (spoilt({"lr": torch.empty((), device="meta")}), "lr = .* is not one real number"),
    "lr complex": (spoilt({"lr": 1e-3 + 1j}), "lr = 'complex' is no number"),
    "lr a complex tensor": (spoilt({"lr": torch.tensor(1j)}), "lr = .* is not one real number"),
    "lr a list nested 60 deep": (spoilt({"lr": nested(60)}), "lr = 'list' is no number"),
    "lr a cycle": (spoilt({"lr": a_cycle()}), "lr = 'list' is no number"),
    "lr of 1,660 bits": (spoilt({"lr": 10**500}), "lr = 'an integer of 1661 bits' is not allowed"),
    "lr text": (spoilt({"lr": "0.001"}), "lr = 'str' is no number"),
    "lr none": (spoilt({"lr": None}), "lr = None is not allowed"),
    "weight decay of two": (spoilt({"weight_decay": torch.ones(2)}), "weight_decay = .* is not one real number"),
    "a flag of three": (spoilt({"decoupled_weight_decay": torch.ones(3)}), "decoupled_weight_decay = 'Tensor' is not true or"),
    "one beta": (spoilt({"betas": (0.9,)}), "betas = 'tuple' is no pair of decay rates"),
    "betas text": (spoilt({"betas": "ab"}), "betas = 'str' is no pair"),
    "betas a size": (spoilt({"betas": torch.Size([0, 0])}), "betas = 'Size' is no pair"),
    "initial_lr none": (spoilt({"initial_lr": "x"}), "initial_lr = 'str' is no number"),
    "params without dimension": (spoilt({"params": torch.tensor(0)}), "params = 'of group 0' is no list of parameters"),
    "params a number": (spoilt({"params": 7}), "params = 'of group 0' is no list of parameters"),
    "params of tensors": (spoilt({"params": [torch.tensor(0)]}), "params = 'of group 0' is no list of parameters"),
    "params twice": (spoilt({"params": [0, 0]}), "params = 'of group 0' names a parameter twice"),
    "params missing": ({"state": {}, "param_groups": [{"lr": 1e-3}]}, "params = 'of group 0' is no list"),
    "no groups": ({"state": {}, "param_groups": []}, "param_groups = 'list' is no list of parameter groups"),
    "groups that are a number": ({"state": {}, "param_groups": 3}, "param_groups = 'int' is no list of parameter groups"),
    "a group that is a number": ({"state": {}, "param_groups": [3]}, r"param_groups = '\[0\]' is no table"),
    "a group without lr": ({"state": {}, "param_groups": [{"params": []}]}, r"param_groups = '\[0\]' has no lr"),
    "a state that is a list": ({"state": [], "param_groups": [{"lr": 1e-3, "params": []}]}, "state = 'list' is no table"),
    "a state of nobody": (spoilt({"params": [1]}), "state = 0 belongs to no parameter group"),
    "a state that is a number": ({"state": {0: 3}, "param_groups": [{"lr": 1e-3, "params": [0]}]}, "of parameter 0' is no table"),
    "step with two elements": (spoilt(state={"step": torch.ones(2)}), "step = 'Tensor' is no count of steps"),
    "step negative": (spoilt(state={"step": torch.tensor(-1.0)}), "step = 'Tensor' is no count of steps"),
    "step text": (spoilt(state={"step": "40"}), "step = 'str' is no count of steps"),
    "moments expanded": (spoilt(state={"exp_avg_sq": ONE.expand(10**11)}), "spreads 100000000000 numbers over fewer"),
    "moments meta": (spoilt(state={"exp_avg_sq": torch.empty(8, device="meta")}), r"exp_avg_sq of parameter 0' is .*\(meta\)"),
    "moments complex": (spoilt(state={"exp_avg": torch.ones(8) * 1j}), "exp_avg of parameter 0' holds complex numbers"),
    "moments sparse": (spoilt(state={"exp_avg_sq": torch.ones(8).to_sparse()}), "is sparse, nested or quantized"),
    "moments of two shapes": (spoilt(state={"exp_avg_sq": torch.ones(9)}), "optimizer = None is not told by the file"),
    "an odd name": (spoilt(state={"extra": torch.ones(9)}), "optimizer = None is not told by the file"),
    "nested 100 deep": (spoilt(extra=nested(100, 1)), "is nested more than 64 deep"),
    "everything in a state": ({"state": a_cycle(), "param_groups": a_cycle()}, "param_groups = "),
}


def saved(folder, content):
    path = folder / "in.pt"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_structural_fault_is_one_sentence(fault, tmp_path):
    content, message = FAULTS[fault]
    source = saved(tmp_path, content)
    with pytest.raises(FieldError, match=message) as refusal:
        transfer_checkpoint(source, tmp_path / "out.pt", 4)
    assert len(str(refusal.value)) < 400 and [path.name for path in tmp_path.glob("*out*")] == []


@pytest.mark.parametrize(
    "content",
    [
        spoilt(),
        spoilt(extra=nested(60)),
        spoilt(extra=a_cycle()),
        {"optimizer": spoilt(), "weights": [ONE.expand(10**9)] * 3},
        {"optimizer": spoilt(), "weights": {"w": torch.empty(10**6, device="meta"), "s": torch.eye(3).to_sparse()}},
    ],
)
def test_what_is_odd_elsewhere_is_left_alone(content, tmp_path):
    done = transfer_checkpoint(saved(tmp_path, content), tmp_path / "out.pt", 4)
    assert done.after[0].param_groups[0]["lr"] == 2e-3 and (tmp_path / "out.pt").stat().st_size < 100_000
    assert len(summary(read(tmp_path / "out.pt"))) == 1


def archive(path, pickled, tensors=(), compression=zipfile.ZIP_STORED):
    """An archive as torch.save makes it, with any pickle inside."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little"), *tensors):
            file.writestr(f"archive/{name}", data)
    return path


def floats_of_a_million(tensors):
    """A pickle of tensors that say that they have a million numbers each."""
    words = (b"storage", b"cpu", *(str(i).encode() for i in range(tensors)))
    text = [b"X" + struct.pack("<I", len(word)) + word for word in words]
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((%sctorch\nFloatStorage\n%s%sJ@B\x0f\x00tQK\x00K\x01\x85K\x01\x85\x89"
        b"ccollections\nOrderedDict\n)RtR"
    )
    return b"\x80\x02](" + b"".join(tensor % (text[0], name, text[1]) for name in text[2:]) + b"e."


def test_a_bomb_of_compressed_zeros_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save(spoilt(), buffer)
    with zipfile.ZipFile(buffer) as file:
        members = {name.removeprefix("archive/"): file.read(name) for name in file.namelist() if "data/" in name}
        path = archive(
            tmp_path / "in.pt",
            file.read("archive/data.pkl"),
            [*members.items(), ("data/99", b"\0" * 10**7)],
            zipfile.ZIP_DEFLATED,
        )
    with pytest.raises(FieldError, match=r"is a compressed archive, which torch\.save does not write"):
        read(path)


def test_tensors_that_claim_more_than_the_file_are_refused(tmp_path):
    path = archive(tmp_path / "in.pt", floats_of_a_million(100), [(f"data/{i}", bytes(20_000)) for i in range(100)])
    with pytest.raises(FieldError, match="holds tensors that are larger than the file"):
        read(path)


def test_members_that_overlap_are_refused(tmp_path):
    path = archive(tmp_path / "in.pt", b"\x80\x02].", [("data/0", bytes(1000))])
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 1)
    raw[entry + 20 : entry + 28] = struct.pack("<II", 10**6, 10**6)  # the sizes in the directory
    path.write_bytes(raw)
    with pytest.raises(FieldError, match="says of itself that it holds more than it does"):
        read(path)


@pytest.mark.parametrize(
    "limit, value, content, message",
    [
        ("MOST_ITEMS", 1000, {"a": [1.0] * 1001}, "holds more than 1000 values beside its tensors"),
        ("MOST_TENSORS", 3, {"a": torch.ones(1), "b": torch.ones(2)}, "says of itself that it holds more"),
        ("LARGEST_PICKLE", 2**20, {"a": "x" * 2**21}, "holds more than 1 MiB beside the numbers of its tensors"),
    ],
)
def test_limits_on_what_is_not_tensors(limit, value, content, message, tmp_path, monkeypatch):
    path = saved(tmp_path, content)
    read(path)
    monkeypatch.setattr(reading, limit, value)
    with pytest.raises(FieldError, match=message):
        read(path)


@pytest.mark.parametrize("name", ["fifo", "folder", "/dev/zero"])
def test_what_is_no_file_is_refused_and_not_waited_for(name, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FieldError, match="is no file: give one that torch"):
        read(tmp_path / name)


def test_a_file_of_the_old_format_is_read_too(tmp_path):
    torch.save(spoilt(), tmp_path / "in.pt", _use_new_zipfile_serialization=False)
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert done.after[0].steps == (10, 10)


def test_a_pickle_that_is_cut_off_or_not_torchs_is_refused(tmp_path):
    whole = saved(tmp_path, spoilt()).read_bytes()
    for data in (whole[: len(whole) // 2], whole[:-30], pickle.dumps({"a": 1})[:-3], b"\x80\x02]"):
        (tmp_path / "cut.pt").write_bytes(data)
        with pytest.raises(FieldError, match="is no PyTorch checkpoint, or a damaged one"):
            read(tmp_path / "cut.pt")


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.just(10**400),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.just(1 + 2j),
    st.builds(dict),
    st.builds(list),
    st.just((1, 2)),
    st.just({"params": []}),
    st.builds(lambda: nested(7)),
    st.builds(a_cycle),
    st.just(torch.Size([2])),
    st.just(torch.float32),
    st.just(torch.device("cpu")),
    st.just({1, 2}),
    st.sampled_from(
        [
            torch.tensor(1.0),
            torch.ones(2),
            torch.empty(0),
            torch.tensor(True),
            ONE.expand(10**9),
            torch.tensor(1j),
            torch.empty(3, device="meta"),
            torch.eye(2).to_sparse(),
            torch.tensor(float("nan")),
            torch.tensor(2**62),
        ]
    ),
)
FORMS = (
    "everything_in_one",
    "in_lightning",
    "by_names",
    "bits8",
    "bits32",
    "fused",
    "rmsprop",
    "rate_in_a_tensor",
    "zero",
    "flattened",
    "with_average",
    "with_every_schedule",
)


def places(content, at=()):
    """The place of everything in nested tables and lists."""
    if isinstance(content, (dict, list)):
        pairs = list(content.items() if isinstance(content, dict) else enumerate(content))
        return [place for key, value in pairs for place in [(*at, key), *places(value, (*at, key))]]
    return []


def change(content, place, kind, value):
    """Replace the value at that place, leave it out, or keep it under another name as well."""
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    if kind == "replace":
        inside[place[-1]] = value
    elif kind == "remove" and isinstance(inside, dict):
        del inside[place[-1]]
    elif isinstance(inside, dict):
        inside[value if isinstance(value, (str, int, float, type(None))) else "odd"] = inside[place[-1]]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    form=st.sampled_from(FORMS),
    data=st.data(),
    optimizer=st.sampled_from([None, "adamw", "rmsprop"]),
    kappa=st.sampled_from([4, 0.5, 3]),
)
def test_random_faults_are_results_or_refusals(form, data, optimizer, kappa, tmp_path):
    """A fault that nobody thought of raises something else than FieldError here."""
    content = copy.deepcopy(getattr(shapes, form)())
    apart = sorted(data.draw(st.lists(st.sampled_from(places(content)), min_size=1, max_size=2)), key=len, reverse=True)
    for place in apart[:1] if apart[0][: len(apart[-1])] == apart[-1] else apart:
        change(content, place, data.draw(st.sampled_from(["replace", "replace", "remove", "add"])), data.draw(ODD))
    source, out = saved(tmp_path, content), tmp_path / "out.pt"
    out.unlink(missing_ok=True)
    with warnings.catch_warnings(action="ignore"):
        try:
            done = transfer_checkpoint(source, out, kappa, optimizer)
        except FieldError as error:
            assert "\n" not in str(error) and not out.exists()
            return
    assert out.exists() and [summary.where for summary in done.after] == [summary.where for summary in done.before]
    read(out)


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from([None, "adam", "sgd"]))
def test_random_faults_of_a_state_dict_are_results_or_refusals(data, optimizer):
    content = copy.deepcopy(shapes.adamw())
    change(content, data.draw(st.sampled_from(places(content))), "replace", data.draw(ODD))
    try:
        assert set(transfer_state_dict(content, 4, optimizer)) >= {"state", "param_groups"}
    except FieldError as error:
        assert str(error)
