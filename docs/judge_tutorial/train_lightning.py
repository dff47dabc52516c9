"""Train by Lightning: ``python train_lightning.py CONFIGURATION.yaml OUTPUT [--lr LR] [--seeds 1 2 3]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from problem import training_and_validation, warm_start
from torch import Tensor
from torch.utils.data import DataLoader

from sqrtscale.meter.lightning import NoiseMeterCallback

parser = argparse.ArgumentParser()
parser.add_argument("configuration", type=Path, help="trainer, optimizer and data, in the form of Lightning's command line")
parser.add_argument("output", type=Path, help="folder of the runs, to which -SEED is added")
parser.add_argument("--lr", type=float, help="in place of the learning rate of the file")
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
options = parser.parse_args()


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = warm_start()

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        return self.net(**batch)["loss"]

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.log("val_loss", self.net(**batch)["loss"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), **given["optimizer"]["init_args"])


torch.set_num_threads(1)  # so small a model is no faster on more
given = yaml.safe_load(options.configuration.read_text())
if options.lr:
    given["optimizer"]["init_args"]["lr"] = options.lr
training, validation = training_and_validation()
batch = given["data"]["init_args"]["batch_size"]
for seed in options.seeds:
    folder = Path(f"{options.output}-{seed}")
    trainer = lightning.Trainer(
        **given["trainer"],
        max_epochs=-1,
        accelerator="cpu",
        logger=CSVLogger(folder.parent, name="", version=folder.name),  # metrics.csv
        callbacks=[NoiseMeterCallback(folder / "noise.jsonl", every=1)],
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    order = torch.Generator().manual_seed(seed)
    trainer.fit(Classifier(), DataLoader(training, batch, shuffle=True, generator=order), DataLoader(validation, len(validation)))
