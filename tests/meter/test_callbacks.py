"""The meter in other people's trainers: real training by Hugging Face's Trainer, Lightning and Accelerate."""

import copy

import pytest
import torch
from torch import nn

from sqrtscale import NoiseMeter


class Pairs(torch.utils.data.Dataset):
    def __init__(self):
        torch.manual_seed(0)
        self.x = torch.randn(256, 10)
        self.y = (self.x @ torch.randn(10, 3)).argmax(1)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"x": self.x[i], "labels": self.y[i]}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Linear(10, 3)

    def forward(self, x, labels=None):
        scores = self.layers(x)
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}


def check(meter, steps):
    """Measured at every second step, and nothing listens any more."""
    assert len(meter.measurements) == steps // 2 and meter.samples == steps * 32
    assert 0 < meter.noise_scale().value < float("inf") and meter.measurements[-1]["second_moment"] > 0
    assert all(0 <= line["clipped"] <= 1 for line in meter.measurements)


def test_hugging_faces_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    from sqrtscale.meter.huggingface import NoiseMeterCallback

    callback = NoiseMeterCallback(tmp_path / "noise.jsonl", every=2)
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path, per_device_train_batch_size=8, gradient_accumulation_steps=4, max_steps=16, report_to=[],
        use_cpu=True, max_grad_norm=1.0, save_strategy="no", logging_strategy="no", disable_tqdm=True)
    transformers.Trainer(model=Net(), args=arguments, train_dataset=Pairs(), callbacks=[callback]).train()
    check(callback.meter, 16)
    assert len((tmp_path / "noise.jsonl").read_text().splitlines()) == 8


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from sqrtscale.meter.lightning import NoiseMeterCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, batch, _):
            return self.net(batch["x"], batch["labels"])["loss"]

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    callback = NoiseMeterCallback(every=2)
    trainer = lightning.Trainer(max_steps=16, max_epochs=-1, accumulate_grad_batches=4, gradient_clip_val=0.5, accelerator="cpu",
                                devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                                enable_model_summary=False, default_root_dir=tmp_path, callbacks=[callback])
    trainer.fit(Module(), torch.utils.data.DataLoader(Pairs(), batch_size=8))
    check(callback.meter, 16)


def test_accelerate():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    model = Net()
    first = copy.deepcopy(model)
    model, optimizer, loader = accelerator.prepare(
        model, torch.optim.AdamW(model.parameters(), lr=1e-2), torch.utils.data.DataLoader(Pairs(), batch_size=8))
    meter = NoiseMeter(8, every=2, clip_norm=1.0).attach(model, optimizer)
    for _ in range(2):
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(**batch)["loss"])
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    check(meter, 16)
    gradients = [flat_gradient(first, slice(8 * i, 8 * i + 8)) for i in range(4)]  # of the first step, before any clipping
    small, large = gradients[0].square().sum(), torch.stack(gradients).mean(0).square().sum()
    assert meter.measurements[0]["signal"] == pytest.approx(float(32 * large - 8 * small) / 24, rel=1e-4)
    assert meter.measurements[0]["noise"] == pytest.approx(float(small - large) / (1 / 8 - 1 / 32), rel=1e-4)
    assert meter.measurements[0]["clipped"] == float(large.sqrt() > 1.0)


def flat_gradient(model, part):
    """Of the mean loss over some of the samples, by autograd alone."""
    samples = Pairs()
    loss = model(samples.x[part], samples.y[part])["loss"]
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])
