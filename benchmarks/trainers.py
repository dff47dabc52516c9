"""What a whole calibration costs: our stacked population trainer against what a user would write instead.

    python benchmarks/trainers.py [--task digits pydoc] [--base-batch 8] [--share 0.05] [--repeat 3] [--device auto]
                                  [--seeds 5] [--start warm] [--contestants plain tuned lightning transformers ours]

Five contestants train the same plan: the same arms, seeds, samples seen, evaluation points and evaluation sets, and the same
weights at the start of a seed.

- plain: one model, a DataLoader (num_workers=0, sampler with replacement), torch.optim fused where it can be, run after run;
- tuned: data drawn by the block on the device, gradient and update compiled into one graph, the better number of threads
  (1 or all, measured); a CUDA graph where there is CUDA. Reported with and without the time of compiling, from a cold cache;
- lightning, transformers: model, loader and optimizer of the plain loop under their Trainers, everything optional off;
- ours: ``sqrtscale.training.calibrate``, as the app runs it. It also measures the regime of every run, which has no switch and
  which the others do not do: it stays in, and what it costs is printed.

Every contestant has a process of its own, in turn, ``--repeat`` times; imports and the trial of threads are not counted. Before
that, losses of the plain and the hand-tuned loop are held to those of our population on the same batches. ``--share`` trains only
that share of the default budget; what the whole would take is then extrapolated (training by samples, evaluations by their
number, the regime by its micro-batches, start and compiling as they are) and marked so. The base configuration is the task's
default, moved to ``--base-batch`` by the rule; the target is 8 times larger, at most the task's default target.

A busy machine spoils the figures (threads wait for each other); OMP_NUM_THREADS=1 gives everybody one thread.
Prints Markdown. Figures worth keeping go to benchmarks/RESULTS.md with device and date. Needs torch, numpy and scikit-learn, and
a C++ compiler for the hand-tuned loop; who cannot run says so. Where there are several GPUs, let it see one
(CUDA_VISIBLE_DEVICES=0), or transformers spreads every batch over them.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ENVIRONMENT = dict(os.environ)  # before sqrtscale.training sets OMP_WAIT_POLICY, which is ours alone

from sqrtscale.plan import WARM_START, CalibrationPlan, make_plan  # noqa: E402
from sqrtscale.processes import leave  # noqa: E402
from sqrtscale.rules import scale  # noqa: E402
from sqrtscale.tasks import TASKS, Batch, task  # noqa: E402

NEEDS = {"plain": (), "tuned": (), "lightning": ("lightning",), "transformers": ("transformers", "accelerate"), "ours": ()}
CHECKED_STEPS = 10
TOLERANCE = 2e-4  # of a loss; sums of float32 in another order are 1e-7 apart, and a large learning rate widens that
TRAINING = "training, "  # as in contestants.py, which loads torch


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=sorted(TASKS), nargs="+", default=sorted(TASKS))
    options.add_argument("--base-batch", type=int, choices=(1, 2, 4, 8, 16), nargs="+", default=[8])
    options.add_argument("--device", default="auto")
    options.add_argument("--seeds", type=int, help="of every arm; the task's default")
    options.add_argument("--share", type=float, default=0.05, help="of the default budget of samples")
    options.add_argument("--start", choices=("warm", "scratch"), default="warm")
    options.add_argument("--repeat", type=int, default=3, help="times; medians are printed")
    options.add_argument("--contestants", choices=NEEDS, nargs="+", default=list(NEEDS))
    options.add_argument("--worker", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.worker:
        return work(Path(chosen.worker))
    from sqrtscale.training import environment

    machine = environment(chosen.device)
    print(f"{machine['device_name']} ({machine['device']}), {machine['threads']} threads, Python {machine['python']}, "
          f"torch {machine['packages']['torch']}, {datetime.date.today()}, load {os.getloadavg()[0]:.1f} at the start\n")
    for name in chosen.task:
        for batch in chosen.base_batch:
            plan, whole = (planned(name, batch, share, chosen) for share in (chosen.share, 1.0))
            print(f"## {name}, base batch {batch}: {len(plan.arms)} arms x {len(plan.seeds)} seeds x {plan.samples} samples"
                  + (f" after a warm start of {plan.warm_samples}" if plan.warm_samples else "")
                  + f" ({chosen.share:g} of the default budget)\n", flush=True)
            check(plan)
            compare(plan, whole, chosen.contestants, chosen.repeat)


def planned(name: str, batch: int, share: float, chosen: argparse.Namespace) -> CalibrationPlan:
    """The task's default calibration at another base batch, with that share of its samples."""
    defaults = task(name).defaults
    return make_plan(name, scale(defaults.base, batch).config, min(8 * batch, defaults.target_batch), seeds=chosen.seeds,
                     samples=max(1, round(share * defaults.samples)), start=chosen.start, device=chosen.device,
                     warm_samples=max(1, round(share * defaults.warm_samples)) if chosen.start == "warm" else None)


def work(job: Path) -> None:
    """One contestant in this process: reads its plan from a file and writes seconds and losses there."""
    order = json.loads(job.read_text())
    if order["contestant"] == "ours":
        import sqrtscale.training  # noqa: F401  before torch, as the app's child does
    import torch
    from contestants import HuggingFace, Ledger, Lightning, Ours, Plain
    from tuned_loop import Tuned

    from sqrtscale.training.device import resolve

    kinds = {"plain": Plain, "tuned": Tuned, "lightning": Lightning, "transformers": HuggingFace, "ours": Ours}
    plan = CalibrationPlan.from_dict(order["plan"])
    (device,) = resolve(plan.device)
    for library in NEEDS[order["contestant"]]:
        importlib.import_module(library)
    # The first optimizer and the first data load libraries, and the first tensor wakes the device: none of it is counted.
    torch.optim.Adam([torch.zeros(1, device=device, requires_grad=True)])
    task(plan.task).data(device)
    ledger = Ledger(device)
    contestant = kinds[order["contestant"]](plan, device, ledger)
    losses = contestant.calibrate()
    ledger.charge()
    job.write_text(json.dumps({"seconds": ledger.seconds, "losses": losses, "note": contestant.note}))
    leave(0)


def send(contestant: str, plan: CalibrationPlan) -> dict | str:
    """What a contestant found in a process of its own, or why there is nothing."""
    missing = [library for library in NEEDS[contestant] if importlib.util.find_spec(library) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"contestant": contestant, "plan": plan.as_dict()}))
        # A cache of its own: who compiles, compiles from the start.
        known = ENVIRONMENT | {"TORCHINDUCTOR_CACHE_DIR": folder, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run([sys.executable, __file__, "--worker", str(job)], capture_output=True, text=True, env=known)
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}, no message"]
            return f"failed: {next((line for line in reversed(lines) if 'Error' in line), lines[-1])}"
        found = json.loads(job.read_text())
    tuning = found["seconds"].pop("tuning", 0.0)
    found["wall"] = sum(found["seconds"].values())
    print(f"{contestant}: {found['wall']:.1f} s, and {tuning:.1f} s of tuning", file=sys.stderr)
    return found


def compare(plan: CalibrationPlan, whole: CalibrationPlan, contestants: list[str], repeat: int) -> None:
    """Run all contestants in turn, print the tables."""
    found: dict[str, list] = {name: [] for name in contestants}
    for _ in range(repeat):
        for name in contestants:
            if not (found[name] and isinstance(found[name][-1], str)):
                found[name].append(send(name, plan))
    for name, results in found.items():
        if isinstance(results[-1], str):
            print(f"{name}: {results[-1]}\n")
    results = {name: runs for name, runs in found.items() if not isinstance(runs[-1], str)}
    if not results:
        return
    seconds = {name: {kind: statistics.median(run["seconds"].get(kind, 0.0) for run in runs)
                      for kind in {kind for run in runs for kind in run["seconds"]}} for name, runs in results.items()}
    print_seconds(plan, seconds, {name: [run["wall"] for run in runs] for name, runs in results.items()})
    print_phases(plan, seconds)
    print_whole(plan, whole, seconds)
    print_losses(plan, {name: runs[0]["losses"] for name, runs in results.items()})
    for name, runs in results.items():
        if runs[0]["note"]:
            print(f"{name}: {runs[0]['note']}\n")


def variants(seconds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The contestants, and again without what can be argued about: compiling, the regime."""
    more = {name: spent for name, spent in seconds.items()}
    for name, title, kinds in (("tuned", "tuned, compiling not counted", ("compile",)),
                               ("ours", "ours, regime not counted", ("regime", "tails"))):
        if name in seconds:
            more[title] = {kind: value for kind, value in seconds[name].items() if not kind.startswith(kinds)}
    return more


def spent_on(spent: dict[str, float], *kinds: str) -> float:
    return sum(value for kind, value in spent.items() if kind.startswith(kinds))


def times(seconds: dict[str, float], own: str) -> str:
    """Two cells: how many times as fast as the plain and the hand-tuned loop."""
    return " | ".join(f"{seconds[other] / seconds[own]:.2f}" if other in seconds else "" for other in ("plain", "tuned"))


def print_seconds(plan: CalibrationPlan, seconds: dict, walls: dict[str, list[float]]) -> None:
    print("Seconds of everything that was trained (median, lowest to highest), what they went into, samples per second of the "
          "training alone, and how many times as fast as the plain and the hand-tuned loop.\n")
    print("| contestant | seconds | start | compiling | training | evaluation | regime | samples/s | x plain | x tuned |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = variants(seconds)
    totals = {name: statistics.median(walls[name]) if name in walls else sum(spent.values()) for name, spent in rows.items()}
    for name, spent in rows.items():
        wall = f"{totals[name]:.2f}" + (f" ({min(walls[name]):.2f} to {max(walls[name]):.2f})" if name in walls else "")
        kinds = (("start",), ("compile",), (TRAINING,), ("evaluation",), ("regime", "tails"))
        cells = " | ".join(f"{spent_on(spent, *one):.2f}" for one in kinds)
        print(f"| {name} | {wall} | {cells} | {plan.work / spent_on(spent, TRAINING):,.0f} | {times(totals, name)} |")
    print()


def print_phases(plan: CalibrationPlan, seconds: dict) -> None:
    """Samples per second of each phase: ours trains all runs of one batch size at once."""
    work = {f"batch {size}": plan.samples * len(plan.seeds) * sum(arm.config.batch_size == size for arm in plan.arms)
            for size in sorted({arm.config.batch_size for arm in plan.arms})}
    if plan.warm_samples:
        work = {WARM_START: plan.warm_samples} | work
    models = {phase: 1 if phase == WARM_START else samples // plan.samples for phase, samples in work.items()}
    heads = " | ".join(f"{phase}, {models[phase]} run" + "s" * (models[phase] > 1) for phase in work)
    print(f"Samples per second of training, by phase.\n\n| contestant | {heads} |\n|---{'|---' * len(work)}|")
    for name, spent in seconds.items():
        print(f"| {name} | " + " | ".join(f"{samples / spent[TRAINING + phase]:,.0f}" for phase, samples in work.items()) + " |")
    print()


def print_whole(plan: CalibrationPlan, whole: CalibrationPlan, seconds: dict) -> None:
    """The default budget: extrapolated, unless it is what was trained."""
    if whole == plan:
        return
    rows = variants({name: {kind: value * growth(kind, plan, whole) for kind, value in spent.items()}
                     for name, spent in seconds.items()})
    totals = {name: sum(spent.values()) for name, spent in rows.items()}
    print(f"**Extrapolated** to the whole default budget ({len(whole.seeds)} seeds x {whole.samples} samples, warm start of "
          f"{whole.warm_samples}):\n\n| contestant | seconds, extrapolated | x plain | x tuned |\n|---|---|---|---|")
    for name, total in totals.items():
        print(f"| {name} | {total:.0f} | {times(totals, name)} |")
    if "ours" in rows:
        print(f"\nMeasuring the regime is {spent_on(rows['ours'], 'regime', 'tails') / totals['ours']:.1%} of ours.")
    print()


def growth(kind: str, plan: CalibrationPlan, whole: CalibrationPlan) -> float:
    """How many times longer that part takes for the whole budget."""
    from sqrtscale.training.regime import Probe

    if kind == TRAINING + WARM_START:
        return whole.warm_samples / plan.warm_samples
    if kind.startswith(TRAINING):
        return whole.samples / plan.samples
    if kind == "evaluation":
        counts = [len(one.warm_points) + len(one.arms) * len(one.seeds) * len(one.evaluation_points) for one in (whole, plan)]
        return counts[0] / counts[1]
    if kind.startswith(("regime", "tails")):
        points = [one.warm_points if WARM_START in kind else one.evaluation_points for one in (whole, plan)]
        there, here = (Probe(None, [], one, 0) for one in points)
        return there.tail_count / here.tail_count if kind == "tails" else there.count / here.count
    return 1.0


def print_losses(plan: CalibrationPlan, losses: dict[str, dict[str, list[float]]]) -> None:
    """What was reached: all have trained the same thing if these agree within their scatter."""
    print(f"Validation loss at the end, mean +- standard deviation over {len(plan.seeds)} seeds"
          + (". A contestant has one warm start, whose own scatter all of its arms share" if plan.warm_samples else "") + ".\n")
    print(f"| arm | {' | '.join(losses)} |\n|---{'|---' * len(losses)}|")
    for arm in next(iter(losses.values())):
        cells = [f"{statistics.mean(found[arm]):.4f}" + (f" +- {statistics.stdev(found[arm]):.4f}" if len(found[arm]) > 1 else "")
                 for found in losses.values()]
        print(f"| {arm} | {' | '.join(cells)} |")
    print()


def check(plan: CalibrationPlan) -> None:
    """Hold the plain and the hand-tuned loop to our population on the same batches; ends the program where they differ."""
    import torch
    from contestants import Ledger, Plain, Run
    from tuned_loop import Tuned

    from sqrtscale.training.device import resolve
    from sqrtscale.training.population import Population
    from sqrtscale.training.streams import Stream

    device, about, seed, base = resolve(plan.device)[0], task(plan.task), plan.seeds[0], plan.base.batch_size
    loops = {"plain": Plain(plan, device, Ledger(device)), "tuned": Tuned(plan, device, Ledger(device), compiled=False)}
    stream = Stream(about.data(device), seed, "check")

    def differences(arms, size, parents):
        """Largest relative difference of a loss: (loop, arm) -> number; and where all of them ended."""
        batches = [stream.take(size) for _ in range(CHECKED_STEPS)]
        ours = Population(about, [plan.config_of(arm) for arm in arms], [seed] * len(arms), device)
        if parents:
            ours.branch_from(parents["ours"], size / base)
        curves = torch.stack([ours.step(Batch(*(x.expand(len(arms), *x.shape) for x in (one.inputs, one.targets))))
                              for one in batches]).cpu()
        found, ends = {}, {"ours": ours}
        for name, loop in loops.items():
            for i, arm in enumerate(arms):
                run = Run(arm, seed, plan.config_of(arm), size / base, ())
                losses, ends[name] = loop.trajectory(run, parents.get(name), [(one.inputs, one.targets) for one in batches])
                found[name, arm] = float((torch.tensor(losses) / curves[:, i] - 1).abs().max())
        return found, ends

    groups = {size: [arm.name for arm in plan.arms if arm.config.batch_size == size] for size in (base, plan.target_batch)}
    scratch = {key: value for size, arms in groups.items() for key, value in differences(arms, size, {})[0].items()}
    print(f"Check: losses of {CHECKED_STEPS} steps from our population's weights on its batches differ from its own by at most "
          f"{max(scratch.values()):.1e} of them (allowed: {TOLERANCE:g}).", end=" ")
    if not max(scratch.values()) < TOLERANCE:
        sys.exit(f"\nthe loops do not train the same thing: {scratch}")
    if plan.start == "warm":
        _, parents = differences(["base"], base, {})
        branched = {key: value for size, arms in groups.items() for key, value in differences(arms, size, parents)[0].items()}
        off = sorted({arm for (_, arm), value in branched.items() if not value < TOLERANCE})
        print(f"After branching from a warm start {max(branched.values()):.1e}"
              + (f"; handed over differently: {', '.join(off)}" if off else "") + ".", end=" ")
    print("\n", flush=True)


if __name__ == "__main__":
    main()
