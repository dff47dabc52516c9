"""LightningModules as tasks: their losses, logs and loaders without a Trainer, and the sentence for what needs one."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from sqrtscale.rules import FieldError
from sqrtscale.tasks.adapters.lightning import ADAPTER, Lightning
from sqrtscale.tasks.own import OwnTaskError, read_text
from sqrtscale.training.own_configuration import read_configuration

LOG, STEP = 'self.log("train_loss", loss, prog_bar=True)', "def training_step(self, batch, batch_idx)"  # of the file
FILE = Path(__file__).parents[1] / "recipes" / "lightning" / "points.py"


def task_of(path=FILE, module="Classifier", data="Points"):
    return Lightning(str(path), module, data)


@pytest.fixture
def changed(tmp_path):
    """A task of the file with some of its text replaced."""
    def change(old, new):
        text = FILE.read_text()
        assert text.count(old) == 1
        (tmp_path / "mine.py").write_text(text.replace(old, new))
        return task_of(tmp_path / "mine.py")

    return change


def namespace():
    """What the file defines, as a script of the user's own has it."""
    names = {"__name__": "points"}
    exec(FILE.read_text(), names)
    return names


def test_samples_losses_and_logs_are_those_of_the_classes():
    task, names = task_of(), namespace()
    torch.manual_seed(3)
    model = task.model().eval()
    torch.manual_seed(3)
    plain = names["Classifier"]().eval()
    points = names["Points"]()
    points.setup("fit")
    for split, dataset in (("validation", points.held), ("train", points.train)):
        torch.manual_seed(0)
        assert len(task.data(split)) == len(dataset)
    batch = task.collate([task.data("validation")[i] for i in range(10)])
    inputs, kinds = batch
    loss = torch.nn.functional.cross_entropy(plain.layers(inputs), kinds)
    torch.testing.assert_close(task.loss(model, batch), loss)
    assert task.metrics(model, batch) == {"logged_loss": loss, "acc": (plain.layers(inputs).argmax(1) == kinds).float().mean()}
    assert model.hparams == {"width": 12, "lr": 3e-3} and model.device == torch.device("cpu")


def test_a_metric_of_torchmetrics_is_that_of_the_batch(changed):
    """It would go on over the batches of an epoch, which has no end here."""
    task = changed("self.save_hyperparameters()", "self.seen = __import__('torchmetrics').MeanMetric()")
    path, line = Path(task.file), "logits = self.layers(inputs)"
    path.write_text(path.read_text().replace(line, f"{line}; self.seen.update(kinds); self.log('val_kind', self.seen)"))
    model = task.model().eval()
    samples = [task.data("validation")[i] for i in range(20)]
    for part in (samples[:5], samples[5:]):
        batch = task.collate(part)
        task.loss(model, batch)
        assert task.metrics(model, batch)["kind"] == batch[1].float().mean()


def test_what_is_written_is_a_task_and_another_file_is_refused(tmp_path):
    path = tmp_path / "points.py"
    path.write_text(FILE.read_text())
    text = ADAPTER.text(str(path), {"module": "Classifier", "data": "Points"})
    source = read_text(text, "task")
    assert (source.title, source.micro) == ("Classifier on Points", None)
    assert read_text(ADAPTER.text(str(path), {"module": "Classifier", "data": "Points", "micro": "8"}), "task").micro == 8
    names = {}
    exec(text, names)
    assert len(names["data"]("train")) == 320
    path.write_text(FILE.read_text() + "\n# another\n")
    with pytest.raises(FieldError, match="has changed since the task was made of it"):
        exec(text + '\ndata("train")', {})


def test_the_optimizer_is_read_and_never_stepped():
    task = task_of()
    told = read_configuration(task.configuration(task.model()), 1)
    assert (told.config.optimizer, told.config.batch_size) == ("adamw", 16)
    assert dict(told.config.hyperparameters) == {"lr": 3e-3, "beta1": 0.8, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.02}
    assert told.flags == "--optimizer adamw --batch 16 --lr 0.003 --weight-decay 0.02 --betas 0.8 0.95"
    assert told.notes == ("its learning rate has a schedule, which is not read: --schedule gives one",)


@pytest.mark.parametrize(("returned", "sentence"), [
    ("[optimizer, optimizer]", "configure_optimizers = '2 optimizers' are not one configuration: return one of them"),
    ("[optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 9)]", None),
    ("optimizer", None),
])
def test_forms_of_configure_optimizers(changed, returned, sentence):
    task = changed('return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 100)}',
                   f"return {returned}")
    if sentence is None:
        assert isinstance(task.configuration(task.model())["optimizer"], torch.optim.AdamW)
        return
    with pytest.raises(FieldError) as raised:
        task.configuration(task.model())
    assert str(raised.value) == sentence


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ("self.save_hyperparameters()", "self.automatic_optimization = False", "automatic_optimization = False means that"),
    (LOG, "loss = loss / self.trainer.max_epochs",
     "self.trainer = 'Classifier' is asked for, and no Trainer runs here"),
    (LOG, "loss = loss / (1 + self.current_epoch)", "self.current_epoch = 'Classifier' is"),
    (LOG, "self.logger.experiment.add_scalar('x', loss)", "self.logger = 'Classifier' is"),
    ("generator = torch.Generator()", "self.trainer.world_size; generator = torch.Generator()", "self.trainer = 'Points' is"),
    ('return {"loss": loss}', "return None", "training_step = 'NoneType' has no loss in it: return the loss"),
    ('return {"loss": loss}', 'return {"other": loss}', "training_step = 'dict' has no loss in it: return the loss"),
    (STEP, "def training_step(self, dataloader_iter)", "fetches its own batches: take (batch"),
    (STEP, "def other_step(self, batch, batch_idx)", "'Classifier' has no training_step: define"),
    ("def validation_step", "def optimizer_step", "'Classifier' has its own optimizer_step, which nobody calls here"),
    ("def val_dataloader", "def on_after_batch_transfer", "'Points' has its own on_after_batch_transfer"),
    ("def val_dataloader", "def other", "'Points' has no val_dataloader: define it"),
    ("width=12, lr=3e-3", "width, lr", "class = 'Classifier' cannot be made without width, lr: give them defaults"),
    ("class Classifier(LightningModule)", "class Classifier(nn.Module)", "class = 'Classifier' is no LightningModule"),
    ("return DataLoader(self.held, batch_size=64)", "return [1, 2]", "val_dataloader = 'list' is no loader of torch: return one"),
    ("batch_size=16, shuffle=True", "batch_size=None", "train_dataloader = 'batch_size=None' makes no batches of samples"),
    ("batch_size=16, shuffle=True", "16, sampler=torch.utils.data.SubsetRandomSampler([1, 2])",
     "train_dataloader = 'SubsetRandomSampler' draws samples in its own way, and sqrtscale takes all alike"),
    ("self.held, batch_size=64", "self.held, batch_size=64, sampler=torch.utils.data.SubsetRandomSampler([1, 2])",
     "val_dataloader = 'SubsetRandomSampler' draws samples in its own way"),
    ("DataLoader(self.train, batch_size=16, shuffle=True)", "DataLoader(type('S', (torch.utils.data.IterableDataset,), "
     "{'__iter__': lambda self: iter([])})())", "train_dataloader = 'S' gives its samples one after another"),
])
def test_what_needs_a_trainer_or_cannot_be_drawn_from_is_a_sentence(changed, old, new, sentence):
    task = changed(old, new)
    with pytest.raises(FieldError) as raised:
        model = task.model()
        batch = task.collate([task.data("train")[i] for i in range(4)])
        task.data("validation")
        task.loss(model, batch)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("old", "new"), [
    ("inputs = torch.randn(self.count, 6, generator=generator)", "raise KeyError('mine')"),
    (LOG, "raise KeyError('mine')"),
    ("self.save_hyperparameters()", "raise KeyError('mine')"),
    ("class Classifier", "raise KeyError('mine')\n\n\nclass Classifier"),
    ("TensorDataset(inputs, kinds)", "type('D', (), {'__len__': lambda s: 9 * 9, '__getitem__': lambda s, i: {}['mine']})()"),
], ids=["setup", "training_step", "__init__", "import", "__getitem__"])
def test_an_error_in_the_file_has_its_line_as_the_reason(changed, old, new):
    task = changed(old, new.replace("9 * 9", "400"))
    with pytest.raises(OwnTaskError, match=r"KeyError: 'mine' \(mine.py, line \d+\)") as raised:
        model = task.model()
        task.loss(model, task.collate([task.data("train")[i] for i in range(4)]))
    assert "sqrtscale/" not in raised.value.log and 'mine.py", line' in raised.value.log


@pytest.mark.parametrize(("options", "sentence"), [
    ({"data": "Points"}, "module = None is missing: give --module with the name of the LightningModule in points.py"),
    ({"module": "Classifier"}, "data = None is missing: give --data with the name of the LightningDataModule in points.py"),
    ({"module": "Other", "data": "Points"}, "module = 'Other' is no class in points.py: give one of Classifier, Points"),
    ({"module": "Classifier", "data": "Points", "micro": "0"}, "micro = 0 "),
    ({"module": "Classifier", "data": "Points", "kind": "causal"}, "--kind = 'causal' is not read for lightning"),
])
def test_options(options, sentence):
    with pytest.raises(FieldError) as raised:
        ADAPTER.text(str(FILE), options)
    assert sentence in str(raised.value)


def test_each_split_is_put_together_by_its_own_loader(changed):
    task = changed("DataLoader(self.held, batch_size=64)", "DataLoader(self.held, 64, collate_fn=lambda samples: len(samples))")
    assert task.collate([task.data("validation")[i] for i in range(3)]) == 3
    train = [task.data("train")[i] for i in range(3)]
    for mine, torchs in zip(task.collate(train), default_collate([sample for _, sample in train]), strict=True):
        assert torch.equal(mine, torchs)
