"""Train by Hugging Face's Trainer: ``python train_huggingface.py ARGUMENTS.json OUTPUT [--lr LR] [--seeds 1 2 3]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from problem import training_and_validation, warm_start
from transformers import Trainer, TrainingArguments

from sqrtscale.meter.huggingface import NoiseMeterCallback

parser = argparse.ArgumentParser()
parser.add_argument("arguments", type=Path, help="what TrainingArguments takes, as JSON")
parser.add_argument("output", help="folder of the runs, to which -SEED is added")
parser.add_argument("--lr", type=float, help="in place of the learning rate of the file")
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
options = parser.parse_args()

torch.set_num_threads(1)  # so small a model is no faster on more
given = json.loads(options.arguments.read_text())
if options.lr:
    given["learning_rate"] = options.lr
training, validation = training_and_validation()
for seed in options.seeds:
    folder = Path(f"{options.output}-{seed}")
    folder.mkdir(parents=True)
    trainer = Trainer(
        model=warm_start(),
        args=TrainingArguments(output_dir=str(folder), seed=seed, **given),  # the seed gives the order of the samples
        train_dataset=training,
        eval_dataset=validation,
        callbacks=[NoiseMeterCallback(folder / "noise.jsonl", every=1)],
    )
    trainer.train()
    trainer.save_state()  # trainer_state.json
