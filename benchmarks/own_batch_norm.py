"""What goes wrong where batch norm takes its statistics over the whole batch? A user's file with its MICRO and without it.

    python benchmarks/own_batch_norm.py FOLDER [--only PART] [--seeds N] [--samples N] [--report]

The same calibration of ``examples/digits_resnet.py`` twice: as it is, batch norm over micro-batches of 8 in every arm, and with
the line of MICRO taken out (which ``sqrtscale tasks check`` refuses), so that each arm's batch norm sees that arm's batch. Then,
at the same weights, the loss and the gradient that batch norm over 8, 16, 32 and 64 images gives; and what the running averages
of either way have to do with the loss in evaluation. Curves lie in FOLDER; ``--report`` makes no new ones. Prints Markdown;
docs/experiments.md says what it means.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import pandas as pd
import torch
from regimes import REGIME, course
from torch import nn

from sqrtscale.evidence import Comparison, judge, regime
from sqrtscale.evidence.summary import end_values
from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import OwnFile, OwnTask, remember, task
from sqrtscale.tasks.own import Facts, read_file
from sqrtscale.training import Measured, calibrate

FILE = Path(__file__).parents[1] / "examples" / "digits_resnet.py"
BASE, TARGET, WARM = TrainingConfig("adam", 8, {"lr": 2e-3, "beta1": 0.95, "beta2": 0.99}), 64, 8_000
SIZES = (8, 16, 32, 64)  # of the images that batch norm sees, at the same weights
STEPS, IMAGES = 1_000, 8_192  # of the plain loop that finds these weights; images in each half of the comparison


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("folder", type=Path, help="where the curves lie")
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--samples", type=int, default=6_400, help="of each run after the branch point")
    options.add_argument("--only", choices=["micro-batches", "whole-batch", "weights", "averages"], help="one of the parts")
    options.add_argument("--report", action="store_true", help="of the curves that are there")
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    text = read_file(FILE)
    for name, version in (("micro-batches", text), ("whole-batch", re.sub(r"^MICRO = .*\n", "", text, flags=re.MULTILINE))):
        if chosen.only not in (None, name):
            continue
        about, place = registered(name, version), chosen.folder / f"{name}.csv"
        plan = make_plan(about.name, BASE, TARGET, seeds=chosen.seeds, samples=chosen.samples, warm_samples=WARM,
                         evaluations=10, device="cpu")
        if not chosen.report:
            train(plan).to_csv(place, index=False, float_format="%.7g")
        print_verdicts(name, plan, pd.read_csv(place))
    if chosen.only in (None, "weights"):
        print_same_weights()
    if chosen.only in (None, "averages"):
        print_averages()


def registered(name: str, text: str) -> OwnTask:
    """A version of the file as a task, without the check that would refuse one of them."""
    running = OwnTask(OwnFile(name, str(FILE), text, Facts(1, 1, 1))).running
    parameters = sum(parameter.numel() for parameter in running.model(0).parameters())
    return remember(OwnFile(name, str(FILE), text, Facts(parameters, running.length("train"), running.length("validation"),
                                                         ("accuracy",))))


def train(plan: CalibrationPlan) -> pd.DataFrame:
    """The curves of the calibration."""
    began, used = time.monotonic(), time.process_time()
    rows = [(event.arm, event.seed, event.samples, metric, value) for event in calibrate(plan)
            if isinstance(event, Measured) and event.arm != WARM_START for metric, value in event.values.items()
            if metric in {*task(plan.task).metrics, *REGIME}]
    print(f"({plan.task}: {time.monotonic() - began:.0f} s, {time.process_time() - used:.0f} s of CPU)\n", flush=True)
    return pd.DataFrame(rows, columns=["arm", "seed", "samples", "metric", "value"])


def print_verdicts(name: str, plan: CalibrationPlan, curves: pd.DataFrame) -> None:
    """The verdict on each arm by its curves, and the ends of all measures."""
    controls = frozenset(arm.name for arm in plan.arms if arm.group == "control")
    verdicts = judge(curves, Comparison("val_loss", "nats per image", controls=controls))
    measured = regime(curves, plan.base.batch_size, plan.target_batch)
    noise = ", ".join(f"{scale:.3g} at {at:,}" for at, scale in course(curves))
    print(f"### {name}, {len(plan.seeds)} seeds, {plan.samples:,} samples after {plan.warm_samples:,}\n\nNoise scale: {noise}. "
          f"{measured.sentence if measured else ''}\n")
    print("| arm | val_loss | train_loss | accuracy | verdict by its curves | first quarter | whole | end |\n" + "|---" * 8 + "|")
    for arm in plan.arms:
        ends = [f"{end_values(curves, metric)[arm.name].mean():.4f}" for metric in ("val_loss", "train_loss", "val_accuracy")]
        verdict = verdicts.get(arm.name)
        cells = [f"{test.difference:+.3f} +- {test.sd:.3f}" for test in verdict.functionals] if verdict else [""] * 3
        print(f"| {arm.name} | {' | '.join(ends)} | {verdict.outcome if verdict else ''} | {' | '.join(cells)} |")
    margin = next(iter(verdicts.values())).margin
    print(f"\nMargin {margin.value:.3g}: {margin.origin}.\n", flush=True)


def print_same_weights() -> None:
    """Loss and gradient in training at the same weights, by how many images batch norm sees."""
    images, digits = registered("micro-batches", read_file(FILE)).running.call("data", "train")
    model, _, generator = trained(0, images, digits)
    halves = torch.randperm(len(images), generator=generator)[: 2 * IMAGES].view(2, IMAGES)
    measured = {size: [gradient(model, images[half], digits[half], size) for half in halves] for size in SIZES}
    first = [g for _, g in measured[SIZES[0]]]
    print(f"After {STEPS:,} steps of 8, at the same weights, over the same {2 * IMAGES:,} images:\n")
    print("| batch norm over | loss in training | gradient / that over 8 | angle to that over 8 |\n|---|---|---|---|")
    for size, of_halves in measured.items():
        own = [g for _, g in of_halves]
        norms = [(a[0] @ a[1]).clamp_min(1e-12).sqrt() for a in (own, first)]  # the two halves share no noise
        cosine = (own[0] @ first[1] + own[1] @ first[0]) / 2 / norms[0] / norms[1]
        print(f"| {size} | {sum(loss for loss, _ in of_halves) / 2:.4f} | {norms[0] / norms[1]:.3f} | "
              f"{cosine.clamp(-1, 1).arccos().rad2deg():.0f} degrees |")
    model.eval()
    with torch.no_grad():
        print(f"| running averages, in evaluation | {nn.functional.cross_entropy(model(images), digits):.4f} | | |")


def trained(seed: int, images: torch.Tensor, digits: torch.Tensor) -> tuple[nn.Module, torch.optim.Adam, torch.Generator]:
    """A model of the file after STEPS steps of 8 by a plain loop."""
    model = registered("micro-batches", read_file(FILE)).running.model(seed)
    optimizer, generator = torch.optim.Adam(model.parameters(), 2e-3, (0.95, 0.99)), torch.Generator().manual_seed(seed)
    steps(model, optimizer, generator, (images, digits), STEPS, 1, 8)
    return model, optimizer, generator


def steps(model: nn.Module, optimizer: torch.optim.Adam, generator: torch.Generator, data: tuple[torch.Tensor, torch.Tensor],
          count: int, parts: int, size: int) -> None:
    """So many steps, each on so many parts of that size, over which batch norm takes its statistics."""
    images, digits = data
    model.train()
    for _ in range(count):
        optimizer.zero_grad()
        for _ in range(parts):
            chosen = torch.randint(len(images), (size,), generator=generator)
            (nn.functional.cross_entropy(model(images[chosen]), digits[chosen]) / parts).backward()
        optimizer.step()


def print_averages(seeds: int = 3, kappa: int = 8, count: int = 100) -> None:
    """The scaled arm in both ways by a plain loop, validated by its running averages and by averages that are taken anew."""
    data = registered("micro-batches", read_file(FILE)).running
    (images, digits), held_out = data.call("data", "train"), data.call("data", "validation")
    print(f"{count} steps of {8 * kappa} by the rule, validation loss, {seeds} seeds:\n")
    print("| batch norm over | seed | running averages | taken anew at the end |\n|---|---|---|---|")
    for size in (8, 8 * kappa):
        for seed in range(seeds):
            model, optimizer, generator = trained(seed, images, digits)
            optimizer.param_groups[0].update(lr=2e-3 * kappa**0.5, betas=(1 - kappa * 0.05, 1 - kappa * 0.01))
            for state in optimizer.state.values():
                state["exp_avg_sq"] /= kappa  # which noise alone makes of it
            steps(model, optimizer, generator, (images, digits), count, 8 * kappa // size, size)
            cells = [f"{validated(model, held_out):.4f}"]
            for part in model.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.reset_running_stats()
                    part.momentum = None  # the plain mean from now on
            model.train()
            with torch.no_grad():
                for _ in range(2048 // size):
                    model(images[torch.randint(len(images), (size,), generator=generator)])
            print(f"| {size} | {seed} | {' | '.join([*cells, f'{validated(model, held_out):.4f}'])} |", flush=True)


@torch.no_grad()
def validated(model: nn.Module, held_out: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The loss in evaluation."""
    model.eval()
    return nn.functional.cross_entropy(model(held_out[0]), held_out[1]).item()


def gradient(model: nn.Module, images: torch.Tensor, digits: torch.Tensor, size: int) -> tuple[float, torch.Tensor]:
    """Mean loss and mean gradient, batch norm over so many images; running averages stay."""
    held = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.zero_grad()
    model.train()
    total, parts = 0.0, len(images) // size
    for part in range(parts):
        here = slice(part * size, (part + 1) * size)
        loss = nn.functional.cross_entropy(model(images[here]), digits[here])
        (loss / parts).backward()
        total += loss.item() / parts
    model.load_state_dict(held, strict=False)
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


if __name__ == "__main__":
    main()
