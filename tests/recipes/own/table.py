"""Regression on a table of diabetes patients that scikit-learn carries, a row a dictionary."""

import torch
from sklearn.datasets import load_diabetes
from torch import nn

SAMPLE = "row"
PRECISION = "fp32"


def model():
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))


def data(split):
    features, target = (torch.tensor(values, dtype=torch.float32) for values in load_diabetes(return_X_y=True))
    order = torch.randperm(len(target))  # torch is seeded alike for both splits
    chosen = order[:350] if split == "train" else order[350:]
    return {"features": 20 * features[chosen], "target": (target[chosen] - 152) / 77}


def loss(model, batch):
    return (model(batch["features"]).squeeze(1) - batch["target"]).square().mean()
