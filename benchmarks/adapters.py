"""What a calibration of adapted data takes of the processor: models as a stack against models one after another.

    python benchmarks/adapters.py [--rounds N] [--only images|residual|text|table]

For each adapter the file that it writes, on data that are made here, as it trains (``stacked()``) and without its stack, in
turns: processor seconds of a step of the warm start, of the base arm's models, of all other arms' models together, and of an
evaluation; the least of the rounds. A whole default calibration is their sum over its steps and evaluations, worked out and not
run. residual: the residual network of ``--model residual``, which trains one after another, against a stack of it by torch.func's
vmap, which makes its convolutions ones in groups. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.func import functional_call, vmap
from torch.nn import functional as F

from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan
from sqrtscale.tasks import OwnFile, OwnTask, remember
from sqrtscale.tasks.adapters import ADAPTERS
from sqrtscale.tasks.adapters.models import Residual
from sqrtscale.tasks.own import Facts
from sqrtscale.training.device import fast_settings
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
CLASSES, PICTURES, ROWS = 10, 200, 5_000  # pictures of each class
MEASURED = 200  # samples of the evaluation that is timed
MODELS, BATCH = 8, 32  # of the comparison of residual networks


class OneByOne(OwnTask):
    """The same file without its stack."""

    @property
    def stacks(self) -> bool:
        return False


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=["images", "residual", "text", "table"])
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        makers = {"images": pictures, "text": text, "table": table}
        print("| adapter | models | warm step | base step | step of the other arms | evaluation | whole calibration |\n"
              "|---|---|---|---|---|---|---|", flush=True)
        for kind, make in makers.items():
            if chosen.only in (None, kind):
                compare(kind, make(Path(folder)), chosen.rounds)
    if chosen.only in (None, "residual"):
        compare_residual(chosen.rounds)


def pictures(folder: Path) -> Path:
    """Noise; its content costs nothing."""
    random = np.random.default_rng(0)
    for name in range(CLASSES):
        of_class = folder / "pictures" / str(name)
        of_class.mkdir(parents=True)
        for i in range(PICTURES):
            Image.fromarray(random.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(of_class / f"{i}.png")
    return folder / "pictures"


def text(folder: Path) -> Path:
    import pydoc_data.topics

    (folder / "text.txt").write_text("\n".join(pydoc_data.topics.topics.values()))
    return folder / "text.txt"


def table(folder: Path) -> Path:
    """Ten numbers, two categories, a target of both."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(ROWS, 10))).add_prefix("x")
    frame["town"], frame["kind"] = random.choice(list("abcdefgh"), ROWS), random.choice(list("uvw"), ROWS)
    frame["y"] = frame["x0"] * frame["x1"] + (frame["town"] == "a")
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def compare(kind: str, place: Path, rounds: int) -> None:
    written = ADAPTERS[kind].text(str(place), {"target-column": "y"} if kind == "table" else {})
    file = OwnFile(kind, str(place.parent / f"{kind}.py"), written, Facts(1, 4_000, 400))
    about = remember(file)
    plan = make_plan(about.name, about.defaults.base, about.defaults.target_batch, device="cpu")
    base, others = models_of(plan)
    with fast_settings(about):
        ways = dict(works(way, plan) for way in (about, OneByOne(file)))
        for work in (work for works_of in ways.values() for work in works_of):
            work()  # loads and compiles
        validation = about.data(CPU).validation.count()
        seconds = {name: [float("inf")] * len(works_of) for name, works_of in ways.items()}
        for _ in range(rounds):
            for name, works_of in ways.items():
                seconds[name] = [min(least, processor(work)) for least, work in zip(seconds[name], works_of, strict=True)]
    for name, (warm, step, other, evaluation) in seconds.items():
        whole = (plan.warm_samples * warm + plan.samples * step) / plan.base.batch_size + plan.samples / plan.target_batch * other
        evaluation *= validation / min(validation, MEASURED)
        whole += (about.defaults.evaluations + 1) * evaluation * (base + others) / others
        print(f"| {kind} | {name}, {base} and {others} | {1000 * warm:.1f} ms | {1000 * step:.1f} ms | {1000 * other:.1f} ms | "
              f"{1000 * evaluation:.0f} ms | {whole:,.0f} s |", flush=True)


def works(way: OwnTask, plan: CalibrationPlan) -> tuple[str, list[Callable[[], object]]]:
    """The executor, and what is measured: steps of warm start, base arm and other arms, and an evaluation of these."""
    base, others = models_of(plan)
    warm, step, other = (Population(way, [config] * models, list(range(models)), CPU) for config, models in (
        (plan.base, 1), (plan.base, base), (plan.config_of("scaled"), others)))
    data = way.data(CPU)
    samples = Stream(data, 0, "x").take(plan.target_batch).map(lambda x: x[None])

    def make_step(population: Population) -> Callable[[], object]:
        batch = samples.cut(slice(1), slice(population.drawn))
        return lambda: population.advance(batch, torch.zeros(len(population), dtype=torch.long), 1)

    measured = data.validation.cut(slice(MEASURED))
    return warm.executor.name, [*map(make_step, (warm, step, other)), lambda: other.executor.evaluate(other, measured)]


def models_of(plan: CalibrationPlan) -> tuple[int, int]:
    """How many runs the base arm has, and all others together."""
    arms = [arm for arm, _ in plan.runs if arm != WARM_START]
    return arms.count("base"), len(arms) - arms.count("base")


def compare_residual(rounds: int) -> None:
    """Loss and gradient of some models: one after another, and by vmap over their stacked weights."""
    torch.manual_seed(0)
    model = Residual(CLASSES)
    weights = {name: torch.stack([p.detach()] * MODELS).requires_grad_() for name, p in model.named_parameters()}
    images, classes = torch.randint(256, (MODELS, BATCH, 3, 32, 32), dtype=torch.uint8), torch.randint(CLASSES, (MODELS, BATCH))

    def loss(own: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(model, own, (x,)), y)

    def looped() -> None:
        for i in range(MODELS):
            torch.autograd.grad(loss({name: p[i] for name, p in weights.items()}, images[i], classes[i]), list(weights.values()))

    def stacked() -> None:
        torch.autograd.grad(vmap(loss)(weights, images, classes).sum(), list(weights.values()))

    torch.set_num_threads(1)
    looped(), stacked()
    seconds = {work.__name__: min(processor(work) for _ in range(rounds)) for work in (looped, stacked)}
    print(f"\nResidual network, {MODELS} models, batch {BATCH}, loss and gradient: " + ", ".join(
        f"{name} {1000 * value:.0f} ms" for name, value in seconds.items()), flush=True)


def processor(work: Callable[[], None]) -> float:
    """Processor seconds of one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
