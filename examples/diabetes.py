"""A regression on a table: how a diabetes goes on.

442 patients that scikit-learn carries, ten features each; the target is the progression of the disease after a year, in standard
deviations. Most of it cannot be known from these features, so that the noise of the gradient never ends.
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn

SAMPLE = "patient"
HIGHER_IS_BETTER = ["r2"]


def model():
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 1))


def data(split):
    features, target = (torch.tensor(values, dtype=torch.float32) for values in load_diabetes(return_X_y=True))
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    chosen = order[:342] if split == "train" else order[342:]
    return {"features": features[chosen] / features.std(0), "target": (target[chosen] - target.mean()) / target.std()}


def loss(model, batch):
    return (model(batch["features"]).squeeze(1) - batch["target"]).square().mean()


def metrics(model, batch):
    return {"r2": 1 - loss(model, batch) / batch["target"].var(correction=0)}
