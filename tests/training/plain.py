"""The reference of the engine's tests: one model, trained by a plain torch loop with torch.optim."""

import math

import torch
from torch_optim import torch_optimizer

from sqrtscale.tasks import Batch
from sqrtscale.training.chance import Chance


def stacked(*batches):
    """Batches of single models as the batch of a stack."""
    return Batch.joined(batches, torch.stack)


def losses(population, batch, parts=1):
    """Mean loss of each model on each of so many equal parts of its own samples, by autograd: batch [M, B, ...] -> [M, parts]."""
    network = population.network
    each = network.losses(network(population.views, batch.inputs, population.held, True), batch.targets)
    return each.reshape(len(population), parts, -1).mean(2)


class PlainLoop:
    """One model of a task: leaf tensors, one optimizer of torch, a learning rate that warms up, clipping, micro-batches."""

    def __init__(self, task, config, seed):
        self.task, self.config, self.run, self.network, self.samples = task, config, seed, task.network(), 0
        shapes = {name: p.shape for name, p in self.network.parameters().items()}
        pieces = self.network.initial(seed).split([math.prod(shape) for shape in shapes.values()])
        self.parameters = {name: piece.clone().view(shape).requires_grad_()
                           for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
        self.buffers = {name: buffer.clone() for name, buffer in (self.network.buffers(seed) | self.network.frozen(seed)).items()}
        self.optimizer = torch_optimizer(config, list(self.parameters.values()))
        warmup = config.warmup_steps or 1
        self.warm_up = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda k: min(1, (k + 1) / warmup))

    def loss(self, batch):
        """Mean loss in training, by one call of the network."""
        def lone(x):
            return x.unsqueeze(0)

        if not self.network.stacked:
            predictions = self.network(self.parameters, batch.inputs, self.buffers, True)
            return self.network.losses(predictions, batch.targets).mean()
        own, held = ({name: lone(x) for name, x in names.items()} for names in (self.parameters, self.buffers))
        stack = batch.map(lone)
        loss = self.network.losses(self.network(own, stack.inputs, held, True), stack.targets).mean()
        self.buffers = {name: x[0] for name, x in held.items()}
        return loss

    def step(self, batch, stream="branch"):
        """One step on batch [B, ...]; the loss before it."""
        micro, total = self.task.micro or batch.count(), 0.0
        pieces = [batch.map(lambda x, at=at: x[at : at + micro]) for at in range(0, batch.count(), micro)]
        self.optimizer.zero_grad()
        for piece in pieces:
            torch.manual_seed(Chance(stream, [self.run], self.samples).seed(0))
            loss = self.loss(piece) / len(pieces)
            loss.backward()
            self.samples += piece.count()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.run.get("clip_norm", math.inf))
        self.optimizer.step()
        self.warm_up.step()
        return total
