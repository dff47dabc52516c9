"""Files with stacked(): what adapters write, held to their own model() and loss() in a plain loop, and what is refused."""

import threading

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from plain_own import Plain, namespace

from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import Batch, OwnFile, OwnTask, OwnTaskError
from sqrtscale.tasks.adapters import ADAPTERS
from sqrtscale.tasks.own import Facts, Group, read_text
from sqrtscale.tasks.own.stacking import check_stack
from sqrtscale.training import saved
from sqrtscale.training.device import fast_settings
from sqrtscale.training.population import Population
from sqrtscale.training.streams import BLOCK, DrawnOnce, Stream

CPU = torch.device("cpu")
STEPS, BATCH = 6, 8


def pictures(folder):
    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            values = random.integers(0, 180, (8, 8, 3)) + (70 if name == "light" else 0)
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def text(folder):
    path = folder.with_suffix(".txt")
    path.write_text(" ".join(np.random.default_rng(0).choice(["batch", "rate", "noise", "step"], 2000)))
    return path


def table(folder):
    path, random = folder.with_suffix(".csv"), np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=60), "z": random.normal(size=60), "town": random.choice(["Ulm", "Bonn"], 60)})
    frame["y"] = 3 * frame["x"] + (frame["town"] == "Ulm") * frame["z"]
    frame.assign(high=frame["y"] > 0).to_csv(path, index=False)
    return path


CASES = {
    "images": ("images", pictures, {"pixels": "8"}, "compiled"),
    "text": ("text", text, {"context": "8"}, "compiled"),
    "number": ("table", table, {"target-column": "y"}, "eager"),
    "class": ("table", table, {"target-column": "high"}, "eager"),
}


def made(tmp_path, case, change=lambda text: text, **facts):
    """The task of a file that an adapter writes, as if it had been checked."""
    kind, make, options, _ = CASES[case]
    written = change(ADAPTERS[kind].text(str(make(tmp_path / "data")), options))
    return OwnTask(OwnFile("mine", str(tmp_path / "mine.py"), written, Facts(1, 100, 10, **facts)))


def one_gradient(about):
    """Of one model of the task, as training computes it."""
    return lambda batch: Population(about, [TrainingConfig("adam", BATCH, {"lr": 1e-3})], [0], CPU).gradients(batch)[1]


@pytest.mark.parametrize("case", CASES)
def test_a_stack_trains_as_the_modules_of_the_file_do_one_by_one(tmp_path, case):
    """Two seeds at two learning rates: weights, validation loss and metrics after some steps of torch.optim.Adam."""
    about = made(tmp_path, case)
    facts = Facts(1, about.running.length("train"), about.running.length("validation"))
    about = OwnTask(OwnFile("mine", about.file.path, about.file.text, facts))
    configs = [TrainingConfig("adam", BATCH, {"lr": lr, "eps": 1e-4}) for lr in (1e-3, 4e-3)]  # eps: a key's bias has no gradient
    population = Population(about, configs, [0, 1], CPU)
    check_stack(about.running, population.network, one_gradient(about))
    assert population.executor.name == CASES[case][3]
    streams = [Stream(about.data(CPU), seed, "branch") for seed in (0, 1)]
    samples = [stream.take(STEPS * BATCH) for stream in streams]
    with fast_settings(about):
        population.advance(Batch.joined(samples, torch.stack), torch.arange(2), STEPS)
        values = population.executor.evaluate(population, about.data(CPU).validation)
    assert population.executor.peak_bytes(population) > 0
    for i, config in enumerate(configs):
        plain = Plain(about, i, config)
        start = {name: p.detach().clone() for name, p in plain.model.named_parameters()}
        plain.train(i, STEPS, BATCH)
        for name, own in plain.model.named_parameters():
            assert not torch.equal(own, start[name])
            torch.testing.assert_close(population.views[name][i], own, rtol=1e-3, atol=2e-5, msg=name)
        assert values["loss"][i].item() == pytest.approx(plain.validation_loss(), rel=1e-4)
        whole = plain.names["data"]("validation")
        for name, value in plain.names["metrics"](plain.model, whole).items():
            assert values[name][i].item() == pytest.approx(value.item(), rel=1e-4)


def test_of_a_checkpoint_its_weights_and_moments_go_into_the_stack(tmp_path):
    about = made(tmp_path, "text")
    names = namespace(about)
    torch.manual_seed(5)
    model = names["model"]()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        names["loss"](model, (names["data"]("train")[0][:8],)).backward()
        optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.pt")
    population = saved.look(tmp_path / "last.pt", about, None).population(about, CPU)
    assert population.executor.name == "compiled"
    for name, own in model.named_parameters():
        assert torch.equal(population.views[name][0], own)
    moments = [optimizer.state[own]["exp_avg_sq"].flatten() for own in model.parameters()]
    torch.testing.assert_close(population.optimizer.state["exp_avg_sq"][0], torch.cat(moments))


ROWS = '''"""Rows that are made when they are asked for, with chance of torch, NumPy and Python."""
import random
import threading

import numpy as np
import torch
from torch.nn import functional as F

from sqrtscale.tasks.module import as_module
from sqrtscale.tasks.transformer import Transformer

READERS = set()


class Rows:
    def __len__(self):
        return 40

    def __getitem__(self, place):
        READERS.add(threading.current_thread().name)
        return torch.randn(4, 12) * random.random() + np.random.rand(), place % 3


def stacked():
    return Transformer(width=8, layers=1, heads=1, length=4, patch=12, classes=3)


def pairs(batch):
    return batch[0], batch[1]


def model():
    return as_module(stacked())


def data(split):
    return Rows()


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def metrics(model, batch):
    return {"accuracy": (model(batch[0]).argmax(-1) == batch[1]).float().mean()}
'''


def rows(*changes):
    """That file as a task, with some of its text changed."""
    text = ROWS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return OwnTask(OwnFile("rows", "/nowhere/rows.py", text, Facts(1, 40, 40)))


def test_samples_of_a_users_code_are_drawn_by_the_thread_that_trains_alone():
    """A process has one generator of each library."""
    about = rows()
    expected = [Stream(rows().data(CPU), 0, name).take(BLOCK) for name in ("warm start", "branch")]
    shared = DrawnOnce(about.data(CPU))
    with shared.drawing_ahead([0], "branch", 2 * BLOCK):
        drawn = Stream(shared.source, 0, "warm start").take(BLOCK)
    assert {threading.current_thread().name} == about.running._module.READERS
    for batch, wanted in zip((drawn, Stream(shared, 0, "branch").take(BLOCK)), expected, strict=True):
        assert all(map(torch.equal, batch.tensors(), wanted.tensors()))


@pytest.mark.parametrize("case, part, value, sentence", [
    ("rows", "targets", -1, "target = -1 is out of range: the network has 3, so give 0 to 2"),
    ("rows", "targets", -100, "target = -100 is out of range"),
    ("rows", "targets", 3, "target = 3 is out of range"),
    ("text", "inputs", 256, "token = 256 is out of range: the network has 256, so give 0 to 255"),
])
def test_a_label_or_token_that_a_kernel_would_write_beside_its_arrays_ends_the_training(tmp_path, case, part, value, sentence):
    about = rows() if case == "rows" else made(tmp_path, case)
    population = Population(about, [TrainingConfig("adam", BATCH, {"lr": 1e-3})], [0], CPU)
    batch = Stream(about.data(CPU), 0, "branch").take(2 * BATCH)
    before = population.flat.clone()
    getattr(batch, part).flatten()[-1] = value
    with fast_settings(about), pytest.raises(FieldError, match=sentence):
        population.advance(batch.map(lambda x: x[None]), torch.tensor([0]), 2)
    with fast_settings(about), pytest.raises(FieldError, match=sentence):
        population.executor.evaluate(population, batch)
    assert torch.equal(population.flat, before)


SMOOTHED = [("def stacked():\n    return Transformer(", '''class Smoothed(Transformer):
    def losses(self, logits, targets):
        losses = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none", label_smoothing=0.3)
        return losses.view(targets.shape)


def stacked():
    return Smoothed('''), ("F.cross_entropy(model(batch[0]), batch[1])",
             "F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.3)")]


def test_a_users_kind_of_transformer_trains_by_its_own_loss():
    about = rows(*SMOOTHED)
    network = about.network()
    check_stack(about.running, network, one_gradient(about))
    with pytest.raises(FieldError, match="'gradient of entry' is another one than that of model"):
        check_stack(about.running, network, one_gradient(rows()))


def test_workers_read_the_samples_of_a_stack():
    """The same ones, none of them read by this process."""
    about = rows(("READERS = set()", "READERS = set()\nWORKERS = 2"))
    here, there = rows().data(CPU), about.data(CPU)
    blocks = [[data.validation, data.train_sample, Stream(data, 3, "branch").take(2 * BLOCK)] for data in (here, there)]
    for batch, wanted in zip(*blocks, strict=True):
        assert all(map(torch.equal, batch.tensors(), wanted.tensors()))
    assert not about.running._module.READERS


@pytest.mark.parametrize("method", ["buffers", "frozen"])
def test_a_stack_with_buffers_or_frozen_parts_is_refused(method):
    about = rows(("def stacked():\n    return Transformer(", f"""class Kept(Transformer):
    def {method}(self, seed):
        return {{"mean": torch.zeros(2)}}


def stacked():
    return Kept("""))
    with pytest.raises(FieldError, match="has buffers or frozen parts: a stack of a file has none"):
        check_stack(about.running, about.network(), one_gradient(about))


def test_inputs_that_the_network_of_a_stack_cannot_take_are_an_error_of_the_file():
    about = rows(("return batch[0], batch[1]", "return batch[0][:, :3], batch[1]"))
    with pytest.raises(OwnTaskError, match=r"^RuntimeError: .*\(rows.py\)$") as error:
        check_stack(about.running, about.network(), one_gradient(about))
    assert "\n" not in str(error.value)


def test_half_precision_and_parameter_groups_train_one_after_another(tmp_path):
    group = Group("head", (("lr_factor", 2.0),), ("head.weight",))
    for change, facts in ((lambda text: text + '\nPRECISION = "bf16"\n', {}), (lambda text: text, {"groups": (group,)})):
        (tmp_path / str(len(facts))).mkdir()
        about = made(tmp_path / str(len(facts)), "text", change, **facts)
        batch = Stream(about.data(CPU), 0, "x").take(4)
        assert not about.network().stacked and len(batch.inputs) == 2 and batch.targets == ()


@pytest.mark.parametrize("case, old, new, sentence", [
    ("text", "def pairs", "def couples", "has no function pairs: define pairs(batch)"),
    ("text", "def stacked()", "def collate(samples): ...\ndef stacked()", "has stacked() and collate: a stack gets samples"),
    ("number", "return (batch[", "batch['numbers'] -= batch['numbers'].mean(0); return (batch[",
     "depends on the samples beside it"),
    ("number", "return (batch[", "batch['numbers'] = batch['numbers'].repeat(1, len(batch['numbers'])); return (batch[",
     "pairs(batch) = 'of a sample' depends on the samples beside it, or on chance: let it give each by itself, all of one"),
    ("text", "def stacked()", "def stacked(size)", "has a function stacked with other arguments: define stacked()"),
    ("text", "    return Transformer(", "    return dict(", "stacked() = 'dict' is no network of stacked models: return"),
    ("text", "as_module(stacked())", "__import__('torch').nn.Linear(2, 2)", "has other parameters than model(): let model()"),
    ("text", "return as_module(stacked())", "made = as_module(stacked()); made.position.data.mul_(2); return made",
     "starts otherwise than model(): let model() return as_module(stacked())"),
    ("text", "targets.flatten())", "targets.flip(1).flatten())", "stacked() = 'loss' is another one than that of model()"),
    ("text", "targets.flatten())", "targets.flatten()).detach()", "loss = 'tensor () of torch.float32' has no gradient: compute"),
    ("number", "F.mse_loss(", "2 * F.mse_loss(", "stacked() = 'loss' is another one than that of model() and loss() ("),
    ("number", "ROWS.scale *", "3 * ROWS.scale *", "stacked() = 'absolute_error' is another one than that of model()"),
    ("class", '"accuracy": ', '"share_right": ', "metrics = 'share_right' are others than those of stacked(), accuracy: return"),
    ("class", 'return (batch["numbers"], batch["codes"]), batch["target"]', 'return [batch["target"]]',
     "pairs(batch) = 'list' is no pair: return the inputs and the targets of the samples"),
])
def test_a_stack_that_is_another_model_is_refused_with_a_sentence(tmp_path, case, old, new, sentence):
    def change(text):
        assert old in text
        return text.replace(old, new)

    with pytest.raises(FieldError) as error:
        about = made(tmp_path, case, change)
        check_stack(about.running, about.network(), one_gradient(about))
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_function_pairs_of_the_users_own_means_nothing_without_stacked():
    own = '"""x"""\ndef model(): ...\ndef data(split): ...\ndef loss(model, batch): ...\ndef pairs(a, b, c): ...\n'
    assert "stacked" not in read_text(own, "task").functions
