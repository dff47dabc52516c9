"""Who trains a calibration in ``benchmarks/trainers.py``: loops that a user would write, two frameworks, and this project.

Each trains every run of a plan in this process and tells a ledger what the seconds went into. The first four train one run
after another. A run of the same seed starts from the same weights everywhere.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from plain_model import Net, dataset, evaluate, hand_over, make_optimizer
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, default_collate

from sqrtscale.plan import WARM_START, CalibrationPlan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task

TRAINING = "training, "  # ledger kinds: what follows is the phase, "warm start" or "batch 8"


class Ledger:
    """Seconds by what they were spent on; a kind inside another is counted once, as itself."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.kinds = device, Counter(), ["start"]
        self.since = time.perf_counter()

    def charge(self) -> None:
        """Charge the time since the last change to the present kind; waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[self.kinds[-1]] += now - self.since
        self.since = now

    def enter(self, kind: str) -> None:
        self.charge()
        self.kinds.append(kind)

    def leave(self) -> None:
        self.charge()
        self.kinds.pop()

    @contextmanager
    def spending(self, kind: str) -> Iterator[None]:
        self.enter(kind)
        try:
            yield
        finally:
            self.leave()


@dataclass(frozen=True)
class Run:
    """One arm with one seed: points are samples seen at which it is measured, 0 first, the end last."""

    arm: str
    seed: int
    config: TrainingConfig
    kappa: float
    points: tuple[int, ...]

    @property
    def steps(self) -> int:
        return self.points[-1] // self.config.batch_size

    @property
    def order(self) -> int:
        """The seed of its samples: the same for every arm of a seed, another for the warm start."""
        return self.seed + (10_000 if self.arm == WARM_START else 0)

    @property
    def phase(self) -> str:
        """The ledger's kind for its steps."""
        return TRAINING + (WARM_START if self.arm == WARM_START else f"batch {self.config.batch_size}")


def initial(plan: CalibrationPlan) -> dict[int, dict[str, Tensor]]:
    """The weights that our runs start from, of every seed: name -> [1, ...]."""
    from sqrtscale.training.population import Population

    return {seed: Population(task(plan.task), [plan.base], [seed], torch.device("cpu")).views for seed in plan.seeds}


class Plain:
    """One model, a DataLoader with one worker (this process), torch.optim fused where it can be."""

    title = "plain loop"

    def __init__(self, plan: CalibrationPlan, device: torch.device, ledger: Ledger):
        self.plan, self.device, self.ledger = plan, device, ledger
        self.task = task(plan.task)
        self.data = self.task.data(device)
        self.weights = initial(plan)
        self.note = ""

    def calibrate(self) -> dict[str, list[float]]:
        """Train every run; the validation loss at the end of each arm's seeds."""
        plan, losses, parent = self.plan, defaultdict(list), None
        for arm, seed in plan.runs:
            warm = arm == WARM_START
            run = Run(arm, seed, plan.config_of(arm), plan.arm_kappa(arm), plan.warm_points if warm else plan.evaluation_points)
            loss, state = self.run(run, parent)
            losses[arm].append(loss)
            if warm:
                parent = state
        return dict(losses)

    def run(self, run: Run, parent):
        """Train one run from its seed's weights, or from where ``parent`` ended; (end loss, what a parent is)."""
        net, optimizer = self.begin(run, parent)
        return self.train(net, optimizer, run), (net, optimizer)

    def begin(self, run: Run, parent) -> tuple[Net, torch.optim.Optimizer]:
        net = Net(self.task).to(self.device)
        optimizer = make_optimizer(run.config, net.parameters())
        if parent is None:
            net.adopt(self.weights[run.seed])
        else:
            net.load_state_dict(parent[0].state_dict())
            hand_over(parent[1], optimizer, run.kappa)
        return net, optimizer

    @staticmethod
    def step(net: Net, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = net.loss(x, y)
        loss.backward()
        optimizer.step()
        return loss

    def trajectory(self, run: Run, parent, batches: Iterable[tuple[Tensor, Tensor]]):
        """The losses of a run on given batches, one step each, and what a parent is: to be held to our population's."""
        net, optimizer = self.begin(run, parent)
        return [self.step(net, optimizer, x, y).item() for x, y in batches], (net, optimizer)

    def loader(self, run: Run, collate: Callable = default_collate) -> DataLoader:
        """All samples of a run in order: the same for every arm of a seed."""
        generator = torch.Generator().manual_seed(run.order)
        samples = dataset(self.task, self.data, generator)
        sampler = RandomSampler(samples, replacement=True, num_samples=run.points[-1], generator=generator)
        return DataLoader(samples, run.config.batch_size, sampler=sampler, num_workers=0, collate_fn=collate)

    def measure(self, net: Net) -> float:
        with self.ledger.spending("evaluation"):
            return evaluate(net, self.data)["val_loss"]

    def train(self, net: Net, optimizer: torch.optim.Optimizer, run: Run) -> float:
        """Every step of a run, measured at its points; the validation loss at the end."""
        loader, loss = self.loader(run), self.measure(net)
        with self.ledger.spending(run.phase):
            for step, (x, y) in enumerate(loader, 1):
                self.step(net, optimizer, x.to(self.device), y.to(self.device))
                if step * run.config.batch_size in run.points:
                    loss = self.measure(net)
        return loss


class Lightning(Plain):
    """The same model, loader and optimizer under ``lightning.Trainer`` in its barebones mode."""

    title = "lightning.Trainer"

    def train(self, net, optimizer, run):
        import lightning

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        contestant = self

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = net

            def configure_optimizers(self):
                return optimizer

            def training_step(self, batch, _):
                return self.net.loss(*batch)

            def on_train_start(self):
                self.end = contestant.measure(self.net)
                contestant.ledger.enter(run.phase)

            def on_train_batch_end(self, *_):
                if self.global_step * run.config.batch_size in run.points:
                    self.end = contestant.measure(self.net)

            def on_train_end(self):
                contestant.ledger.leave()

        module = Module()
        # Barebones switches callbacks, progress bar, logger, checkpoints and checks off.
        lightning.Trainer(barebones=True, max_steps=run.steps, max_epochs=1, devices=1,
                          accelerator="cpu" if self.device.type == "cpu" else "gpu").fit(module, self.loader(run))
        return module.end


class HuggingFace(Plain):
    """The same model, loader and optimizer under ``transformers.Trainer``: no reports, no saving, no clipping."""

    title = "transformers.Trainer"

    def train(self, net, optimizer, run):
        import transformers

        contestant, batch, ends = self, run.config.batch_size, []

        class Measuring(transformers.TrainerCallback):
            def on_train_begin(self, *_, **__):
                ends.append(contestant.measure(net))
                contestant.ledger.enter(run.phase)

            def on_step_end(self, args, state, control, **_):
                if state.global_step * batch in run.points:
                    ends.append(contestant.measure(net))

            def on_train_end(self, *_, **__):
                contestant.ledger.leave()

        class Returning(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, inputs, labels):
                return {"loss": self.net.loss(inputs, labels)}

        class Trainer(transformers.Trainer):
            def get_train_dataloader(self):
                named = contestant.loader(run, lambda rows: dict(zip(("inputs", "labels"), default_collate(rows), strict=True)))
                return self.accelerator.prepare(named)

        with tempfile.TemporaryDirectory() as folder:
            options = transformers.TrainingArguments(
                output_dir=folder, max_steps=run.steps, per_device_train_batch_size=batch, report_to="none", save_strategy="no",
                logging_strategy="no", eval_strategy="no", disable_tqdm=True, use_cpu=self.device.type == "cpu",
                dataloader_num_workers=0, remove_unused_columns=False, max_grad_norm=0.0,
                seed=run.order, data_seed=run.order)
            constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
            trainer = Trainer(model=Returning(), args=options, optimizers=(optimizer, constant), callbacks=[Measuring()])
            trainer.train()
        return ends[-1]


class Ours:
    """``sqrtscale.training.calibrate`` as the app's child calls it, without the store."""

    title = "sqrtscale"

    def __init__(self, plan: CalibrationPlan, device: torch.device, ledger: Ledger):
        self.plan, self.ledger, self.note = plan, ledger, ""

    def calibrate(self) -> dict[str, list[float]]:
        from sqrtscale.training import Measured, calibrate, measuring, regime

        ledger, ends, spent = self.ledger, {}, defaultdict(Counter)

        def looked(probe, population, runs, *_):
            return "regime, warm start" if runs and runs[0][0] == WARM_START else "regime"

        with (_timed(measuring, "measure", ledger, lambda *_: "evaluation"), _timed(regime.Probe, "measure", ledger, looked),
              _timed(regime, "tails", ledger, lambda *_: "tails"), ledger.spending("waiting")):
            for event in calibrate(self.plan):
                if not isinstance(event, Measured):
                    continue
                ledger.charge()
                seconds = ledger.seconds.pop("waiting")
                phase = WARM_START if event.arm == WARM_START else f"batch {self.plan.config_of(event.arm).batch_size}"
                if event.samples:
                    spent[phase][event.samples] += seconds
                else:
                    ledger.seconds["start"] += seconds
                ends[event.arm, event.seed] = event.values["val_loss"]
        ledger.seconds["start"] += ledger.seconds.pop("waiting")
        for phase, seconds in spent.items():
            once = _once(seconds)
            ledger.seconds["compile"] += once
            ledger.seconds[TRAINING + phase] = seconds.total() - once
        losses = defaultdict(list)
        for (arm, _), loss in ends.items():
            losses[arm].append(loss)
        return dict(losses)


@contextmanager
def _timed(owner, name: str, ledger: Ledger, kind: Callable[..., str]) -> Iterator[None]:
    """Charge every call of ``owner.name`` to the kind that its arguments say."""
    original = getattr(owner, name)

    def timed(*args, **options):
        with ledger.spending(kind(*args)):
            return original(*args, **options)

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _once(seconds: dict[int, float]) -> float:
    """What the first stretch of training took above the others' pace (such as compiling), of {samples seen: seconds}."""
    points = [0, *sorted(seconds)]
    paces = [seconds[end] / (end - start) for start, end in pairwise(points)]
    return max(0.0, seconds[points[1]] - statistics.median(paces[1:]) * points[1]) if len(paces) > 3 else 0.0
