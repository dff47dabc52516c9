"""The form of the Calibrate page: a plan from a few choices."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from .. import runner
from ..arms import KINDS, default_arms, offered
from ..home import home
from ..plan import LOOKS, CalibrationPlan, Start, make_plan, trainable
from ..rules import RUN_FIELDS, FieldError, TrainingConfig, family
from ..runner.device import gpus, occupied
from ..schedules import CONSTANT, Schedule, schedule_of
from ..store import Store
from ..tasks import OwnTask, Task, all_tasks, task
from ..tasks.own import KnownConfiguration, compared
from ..tasks.own.task import KAPPA, LR
from ..training.optimizers import TRAINED
from . import forms, remedy, schedule_choice
from .inputs import Inputs, batch_of, exact, format_number, parsed
from .runs import coloured
from .state import put
from .tables import escaped, greek, sentence

OWN, TESTED = "Your configuration", "The task's tested defaults"
STARTS: dict[Start, str] = {"warm": "Warm start", "scratch": "From scratch"}
CHECKPOINT: dict[Start, str] = {"checkpoint": "From the checkpoint of the task"}
CHECKPOINT_HELP = ("From the checkpoint: weights and optimizer of your own run, moved to each arm's batch; nothing is trained "
                   "before. ")
START_HELP = ("Warm: train once at the base configuration; every arm then starts from that model, with fresh data. From scratch "
              "the mean gradient outweighs its noise at first, and the rule, which is made for noise, is not tested there.")
FURTHER_HELP = ("An ablation is the full rule with one hyperparameter left as it was. SVAG (stochastic variance amplified "
                "gradient) makes the base run in l² times as many, smaller steps with the same noise: where its arms agree with "
                "base, the theory behind the rule describes this training.")
EARLY_HELP = (f"The arms are judged after {', '.join(map(str, LOOKS[:3]))} … seeds. Judging several times makes a wrong verdict "
              "likelier, so each time more is demanded. A GPU trains all seeds at once in about the time of one, so there it "
              "saves nothing.")
GO_ON_HELP = ("After the warm start the noise scale is measured. Where the batch lies so far above it that no arm can become a "
              "test of the rule, the calibration ends there; with this the arms are trained all the same.")
RESTART = "Go on by itself after a restart"
RESTART_HELP = ("Where a shutdown or a restart of the machine interrupts it, it goes on from its last snapshot: when the app "
                "is opened, or a command looks at the queue (`runs list`, for example), a minute after its end at the earliest "
                "where the machine itself was not restarted. What you cancel stays cancelled.")
AGAIN = "again"  # in the address: the id of a calibration whose plan fills the form
OWN_HELP = ("To train your own model on your own data, write them as one file: `sqrtscale tasks new my_task.py` makes one that "
            "runs as it is, `sqrtscale tasks add my_task.py` checks it and puts it here.")
ICONS = {"good": ":material/check:", "warning": ":material/warning:", "bad": ":material/close:"}
CHANGES = {  # of the file of a task since it was checked
    "changed": "The file has changed since it was added. What is trained here, and what the check found, is the text as it was "
               "then. For the new one run `sqrtscale tasks add` again.",
    "gone": "The file is not where it was when it was added. What is trained here is its text as it was then."}
BASE_BATCH = "Base batch"
OWN_ARM = "own: "  # begins the name of an arm with values typed in
OF_A_SCHEDULE = ("schedule", "min_lr", "decay_steps", "milestones", "milestone_factor")
MARKED = {  # field of a plan -> its label: what is wrong stands below it
    "arms": "Own values at the target batch", "targets": "The rule at these batches as well", "seeds": "Seeds",
    "samples": "Samples per run", "warm_samples": "Warm-start samples", "schedule": "Learning rate over a run",
    "device": "Device", "evaluations": "Evaluations per run"}


class Transfer(NamedTuple):
    """What a calibration is to test, and the schedule that came with it. missing: what has to be answered before it can."""

    inputs: Inputs
    schedule: Schedule = CONSTANT
    missing: str = ""


def task_choice() -> Task:
    """Which task to train, with what it is; of the user's own also what the check of its file found."""
    tasks = all_tasks()
    again = st.session_state.get("task")
    if again is not None and again not in tasks:
        try:
            tasks[again] = task(again)  # an earlier version, which a stored calibration has kept
        except FieldError:
            del st.session_state["task"]
    name = st.pills("Task", list(tasks), default=next(iter(tasks)), required=True, key="task", wrap=True, help=OWN_HELP,
                    format_func=lambda name: escaped(tasks[name].title) + " (as it was)" * ("@" in name))
    about = tasks[name]
    st.caption(escaped(about.description))
    if isinstance(about, OwnTask):
        _findings(about)
    return about


def own_name(key: str) -> str:
    """The choice that stands for the task of a plan: its name where it is the one that was added last."""
    name = key.partition("@")[0]
    tasks = all_tasks()
    return name if name in tasks and tasks[name].name == key else key


def _findings(about: OwnTask) -> None:
    """What the check of the file found, as it was stored when it was added, and whether the file is still that one."""
    change = CHANGES.get(compared(about.file))
    if change:
        st.caption(f":material/warning: {change}")
    warnings = sum(finding.level == "warning" for finding in about.file.findings)
    with st.expander("What the check found" + (f": {warnings} to look at" if warnings else "")):
        for finding in about.file.findings:
            st.caption(f"{ICONS[finding.level]} {sentence(finding.text)}")


def transfer_choice(task: Task) -> Transfer:
    """The configuration to test, the one carried over from Scale or the one the task was tested with, and its schedule."""
    tested = Transfer(Inputs(task.defaults.base, task.defaults.target_batch, "linear"))
    try:
        own = forms.current()
    except FieldError as error:
        st.error(sentence(f"The address carries no usable configuration: {error}"))
        own = None
    known = task.file.facts.configuration if isinstance(task, OwnTask) else None
    if known is not None:
        theirs = f"That of {known.source}"
        chosen = theirs if own is None else st.segmented_control("Configuration", [theirs, OWN], default=theirs, required=True,
                                                                 key=f"source-{task.name}", wrap=True)
        if chosen == theirs:
            st.caption(escaped(f"Taken: the configuration in {known.source}."))
            return tested if known.batch_known else _at_its_batch(task, known, tested)
    if own is None and isinstance(task, OwnTask):
        st.caption(f"Taken: Adam with learning rate {format_number(LR)}, which nobody has tried on your task. Type your own "
                   "configuration on the Scale page.")
        return tested
    if own is None:
        st.caption("Taken: the configuration this task was tested with. To test your own, type it on the Scale page.")
        return tested
    chosen = OWN if isinstance(task, OwnTask) else st.segmented_control(
        "Configuration", [OWN, TESTED], default=OWN, required=True, key="source", wrap=True)
    if chosen == TESTED:
        return tested
    runs = trainable(own.config)
    if runs is None:
        st.error(escaped(f"{family(own.config.optimizer).label} cannot be trained here as it is: the engine has PyTorch's "
                         f"{', '.join(TRAINED)}. Make it the same as one of them in the Scale page."))
        remedy.button(task, own, "remedy-untrained")
        return tested
    carried = schedule_of(own.config)
    if own.config == runs and st.query_params.get(AGAIN):
        st.caption("Taken from the calibration that is run again, with every choice below. Its hyperparameters can be changed "
                   "on the Scale page.")
        return Transfer(own, carried or CONSTANT)
    left_out = _left_out(own.config, runs, carried)
    text = "This trains your own task by your own configuration." if isinstance(task, OwnTask) else (
        "Batch and learning rate are this task's own; κ and decays are yours.") if remedy.at_own_batch(task, runs) else (
        "Your learning rate was tuned for your model; on this small task it may train worse or not at all. What is tested is "
        "whether scaled follows base.")
    st.caption(text + (f" Left out here: {', '.join(left_out)}." if left_out else ""))
    return Transfer(own._replace(config=runs), carried or CONSTANT)


def _at_its_batch(task: Task, known: KnownConfiguration, guess: Transfer) -> Transfer:
    """A configuration from files that do not say its batch: that is asked for, and nothing can be launched before the answer."""
    box = st.container(gap="xxsmall")
    text = box.text_input(BASE_BATCH, key=f"batch-{task.name}", max_chars=40, live=forms.PAUSE, help=forms.HELP["batch_size"],
                          placeholder="for example 256, or 8 x 4 x 8")
    if not text.strip():
        box.caption(escaped(f"{known.source} does not say at which global batch it was trained, and its settings belong to that "
                            "batch."))
        return guess._replace(missing=escaped(f"At which global batch was {known.source} trained? Type it as {BASE_BATCH}."))
    try:
        batch = batch_of("batch_size", text)
    except FieldError as error:
        forms.mark(box, error)
        return guess._replace(missing=forms.marked([BASE_BATCH]))
    box.caption(f"κ = {KAPPA}: to {KAPPA * batch}. For another target type the configuration on the Scale page.")
    return Transfer(Inputs(known.at(batch), KAPPA * batch, "linear"))


def _left_out(own: TrainingConfig, trained: TrainingConfig, carried: Schedule | None) -> list[str]:
    """Labels of what the user's configuration has and a calibration does not."""
    kept = {*trained.run, "loss_reduction", *(OF_A_SCHEDULE if carried else ())}
    return [RUN_FIELDS[name].label for name in own.run if name not in kept] + ["parameter groups"] * bool(own.groups)


def size_choice(task: Task) -> str:
    """How large the model is; the smallest is what the defaults were tested with."""
    if len(task.sizes) == 1:
        return next(iter(task.sizes))
    labels = {name: f"{name}: {_rounded(parameters)} parameters" for name, parameters in task.sizes.items()}
    return st.selectbox("Model", list(labels), format_func=labels.__getitem__, key=f"size-{task.name}",
                        help="The task's own configuration was tested with the smallest. A larger model usually wants a smaller "
                             "learning rate, and a GPU.")


def _rounded(count: int) -> str:
    return f"{count / 1e6:.3g} million" if count >= 1e6 else f"{round(count, -3):,}"


def plan_choice(task: Task, transfer: Transfer, size: str) -> CalibrationPlan:
    """Arms, seeds, budget, start, schedule and device; raises FieldError for what cannot be run, marked below its field."""
    boxes: dict[str, DeltaGenerator] = {}
    try:
        return _plan(task, transfer, size, boxes)
    except FieldError as error:
        if error.field in boxes:
            forms.mark(boxes[error.field], error)
        raise


def _plan(task: Task, transfer: Transfer, size: str, boxes: dict[str, DeltaGenerator]) -> CalibrationPlan:
    """The plan; boxes: filled with the place below each field."""
    defaults, inputs = task.defaults, transfer.inputs
    usual, controls_key = usual_controls(inputs)
    controls = st.pills("Controls beside base and scaled", usual, default=usual, selection_mode="multi",
                        key=controls_key,
                        help=greek(" ".join(KINDS[name].description for name in usual)))
    more, targets, reuse = _further_arms(inputs, usual, boxes)
    grid = st.grid(2, min_column_width=150)
    boxes |= {"seeds": grid.container(gap="xxsmall"), "samples": grid.container(gap="xxsmall")}
    seeds = boxes["seeds"].number_input(MARKED["seeds"], value=defaults.seeds, step=1, key=f"seeds-{task.name}",
                                        help="Runs of every arm, at most. More seeds make smaller differences visible.")
    samples = boxes["samples"].number_input(
        f"{MARKED['samples']} ({escaped(task.samples)})", value=defaults.samples, step=1000, key=f"samples-{task.name}",
        help="Counted from where the arms part (after the warm start, if there is one); the same in every arm.")
    start = _start_choice(task)
    grid = st.grid(2, min_column_width=150)
    warm_samples = None
    if start == "warm":
        boxes["warm_samples"] = grid.container(gap="xxsmall")
        warm_samples = boxes["warm_samples"].number_input(MARKED["warm_samples"], value=defaults.warm_samples, step=1000,
                                                          key=f"warm-{task.name}")
    boxes["schedule"] = st.container(gap="xxsmall")
    cards = gpus()
    auto = cards[0].name if occupied("auto") != ("cpu",) else "CPU, whose GPU failed a trial" if cards else "CPU, no GPU found"
    by_index = sorted(cards, key=lambda card: card.index)
    devices = {"auto": f"auto: {auto}", "cpu": "CPU",
               **{f"cuda:{card.index}": f"cuda:{card.index} ({card.name})" for card in by_index}}
    if len(cards) > 1:
        devices["all"] = f"all {len(cards)} GPUs, models spread over them"
    asked = st.session_state.get("device", "auto")  # of a plan that is run again, perhaps from another machine
    devices.setdefault(asked, asked)
    boxes |= {"device": grid.container(gap="xxsmall"), "evaluations": grid.container(gap="xxsmall")}
    device = boxes["device"].selectbox(MARKED["device"], list(devices), format_func=devices.__getitem__, key="device")
    evaluations = boxes["evaluations"].number_input(
        MARKED["evaluations"], value=defaults.evaluations, step=1, key=f"evaluations-{task.name}",
        help="How many times every run is measured after the warm start.")
    early = st.toggle("Stop as soon as the verdict is clear", value=occupied(device) == ("cpu",), key=f"early-{device}",
                      help=EARLY_HELP)
    go_on = start != "scratch" and st.toggle("Go on where it cannot be a test", key="go-on", help=GO_ON_HELP)
    with boxes["schedule"]:  # last, so that a text which is no schedule hides no other choice
        schedule = schedule_choice.choose(transfer.schedule)
    return make_plan(task.name, inputs.config, inputs.target_batch, arms=[*controls, *more], targets=targets, seeds=seeds,
                     samples=samples, start=start, warm_samples=warm_samples, decay_form=inputs.decay_form, device=device,
                     momentum_form=inputs.momentum_form, correct_lr=inputs.correct_lr, reuse=reuse, stop_early=early, size=size,
                     schedule=schedule, evaluations=evaluations, go_on=go_on)


def _start_choice(task: Task) -> Start:
    """Where the arms branch: for a task whose file names a checkpoint, also and first there."""
    checkpoint = task.file.facts.checkpoint if isinstance(task, OwnTask) else None
    starts = (CHECKPOINT if checkpoint else {}) | STARTS
    start: Start = st.segmented_control("Start", list(starts), default=next(iter(starts)), required=True, wrap=True,
                                        key=f"start-{task.name}" if checkpoint else "start",
                                        help=CHECKPOINT_HELP * bool(checkpoint) + START_HELP, format_func=starts.__getitem__)
    if checkpoint and start == "checkpoint":
        st.caption(escaped(f"{checkpoint.words}, as it was when the task was added."))
    return start


def usual_controls(inputs: Inputs) -> tuple[list[str], str]:
    """Names of the controls of that transfer, and the key of their widget."""
    usual = [name for name in default_arms(inputs.scaled) if name not in ("base", "scaled")]
    return usual, "controls" if "linear lr" in usual else "controls-sgd"


def _further_arms(inputs: Inputs, usual: list[str], boxes: dict[str, DeltaGenerator]) -> tuple[list[str], list[Any], bool]:
    """Names of further arms, further target batches, and whether stored runs are reused."""
    with st.expander("More arms and batches"):
        known = [kind.name for kind in offered(inputs.scaled) if kind.name not in ("base", "scaled", *usual)]
        aware = inputs.noise_aware
        own_noise = [f"noise-aware {exact(inputs.noise_scale)}"] if aware is not None and aware.follows_noise_scale else []
        if "more-arms" not in st.session_state:
            put({"more-arms": own_noise})
        chosen = st.session_state["more-arms"]
        known += dict.fromkeys((*own_noise, *(name for name in chosen if name not in KINDS)))  # those of a plan that is run again
        names = st.multiselect("Ablations, other rules, SVAG", known, key="more-arms", placeholder="none",
                               help=FURTHER_HELP)
        for name in filter(KINDS.__contains__, names):
            st.caption(f"**{name}**: {sentence(KINDS[name].description)}")
        for name in set(names) & set(own_noise):
            st.caption(f"**{name}**: the transfer by the noise scale that you typed on Scale. This task may have another one.")
        boxes |= {"arms": st.container(gap="xxsmall"), "targets": st.container(gap="xxsmall")}
        own = boxes["arms"].text_input(MARKED["arms"], key="own-arm", placeholder="lr=1e-3 beta2=0.99")
        text = boxes["targets"].text_input(MARKED["targets"], key="targets", placeholder="16 32 128",
                             help="How far can I go? Each batch is an arm of its own with its own verdict.")
        reuse = st.toggle("Take identical runs from earlier calibrations", value=True, key="reuse",
                          help="Same task, configuration, seed, start and budget on the same kind of device: not trained again.")
    return names + [OWN_ARM + own.strip()] * bool(own.strip()), [parsed(batch) for batch in text.replace(",", " ").split()], reuse


def launch(store: Store, plan: CalibrationPlan, primary: bool) -> None:
    """The last choices and the button that launches the plan and opens its page; primary: whether that is what to do next."""
    name = st.text_input("Name", key="name", max_chars=200, placeholder="optional")
    restarts = st.toggle(RESTART, key="resume-after-restart", help=RESTART_HELP)
    if st.button("Launch", type="primary" if primary else "secondary", icon=":material/play_arrow:"):
        submit(store, plan, name, restarts)


def submit(store: Store, plan: CalibrationPlan, name: str, resume_after_restart: bool) -> None:
    """Launch it and open its page; where the home has no room for it, say so."""
    try:
        id = runner.submit(store, plan, name, resume_after_restart)
    except OSError as error:
        st.error(no_room(error))
        return
    st.switch_page("pages/results.py", query_params={"id": id})


def no_room(error: OSError) -> str:
    """That the home cannot take what is to be written, and what to do."""
    return escaped(f"Nothing was started, because {home()} cannot be written ({error.strerror or error}): make room on its disk, "
                   "or set SQRTSCALE_HOME to another folder.")


def arms_table(plan: CalibrationPlan) -> None:
    """The configuration of every arm, one column each."""
    rows = {"Batch size": [str(arm.config.batch_size) for arm in plan.arms]}
    for name, field in family(plan.base.optimizer).fields.items():
        rows[field.label] = [" to ".join(dict.fromkeys(format_number(config[name]) for config in plan.ends(arm.name)))
                             for arm in plan.arms]
    for i, group in enumerate(plan.base.groups):
        for name in group.values:
            label = f"{family(plan.base.optimizer).fields[name].label}, {escaped(group.name)}"
            rows[label] = [format_number(arm.config.groups[i].values[name]) for arm in plan.arms]
    if plan.base.warmup_steps:
        rows["Warm-up steps"] = [str(arm.config.warmup_steps) for arm in plan.arms]
    heads = [coloured(arm.name, arm.name.capitalize()) for arm in plan.arms]
    st.table(pd.DataFrame([[label, *values] for label, values in rows.items()], columns=["Field", *heads]),
             border="horizontal", hide_index=True, alt="Configuration of every arm")
