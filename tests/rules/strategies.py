"""Any configuration, for property tests: every family, every field of the run, parameter groups."""

from hypothesis import strategies as st

from sqrtscale.rules import FAMILIES, RUN_FIELDS, ParameterGroup, TrainingConfig

FORMS = ("linear", "half-life")
MOMENTA = ("kept", "scaled")

batches = st.one_of(st.integers(1, 4096), st.integers(1, 10**7))
forms = st.sampled_from(FORMS)
momentum_forms = st.sampled_from(MOMENTA)
decays = st.one_of(st.sampled_from([0.0, 0.9, 0.95, 0.98, 0.99, 0.999]), st.floats(0, 0.999999))
positive = st.floats(1e-12, 10)
sizes = st.one_of(st.just(0.0), positive)
shares = st.floats(0, 1)
lengths = st.integers(1, 10**6)

OF_THE_RUN = {
    "total_steps": lengths, "warmup_steps": st.integers(0, 1000), "decay_steps": st.integers(0, 1000),
    "schedule": st.sampled_from(["constant", "linear", "cosine", "wsd", "inverse-sqrt", "exponential", "milestones"]),
    "milestones": st.lists(lengths, min_size=1, max_size=5, unique=True).map(sorted),
    "warmup_fraction": shares, "milestone_factor": shares, "dropout": shares, "label_smoothing": shares,
    "gamma_per_step": st.sampled_from([0.999, 0.9999, 1.0]), "ema_decay": st.sampled_from([0.99, 0.999, 0.9999, 1.0]),
    "min_lr": sizes, "clip_norm": positive, "loss_reduction": st.sampled_from(["mean", "sum"]),
    "eval_interval": lengths, "log_interval": lengths, "checkpoint_interval": lengths,
}
STEPS = ("total_steps", "warmup_steps", "decay_steps", "milestones", "eval_interval", "log_interval", "checkpoint_interval")
assert set(OF_THE_RUN) == set(RUN_FIELDS), "a new field of the run needs its values here"


def values_of(name):
    """The family's hyperparameters, of ordinary size, zeros where they are allowed."""
    return {field: positive if field == "lr" else decays if about.is_decay or field == "momentum" else sizes
            for field, about in FAMILIES[name].fields.items()}


@st.composite
def configurations(draw, names=tuple(FAMILIES), with_steps=True, with_groups=True):
    """Any family with any values, some fields of the run, up to two groups; without lengths in steps on demand."""
    name = draw(st.sampled_from(names))
    run = draw(st.fixed_dictionaries({}, optional={field: values for field, values in OF_THE_RUN.items()
                                                   if with_steps or field not in STEPS}))
    if "total_steps" in run:
        run["total_steps"] += 1000  # not shorter than warm-up or decay
    own = st.fixed_dictionaries({}, optional=values_of(name))
    groups = draw(st.lists(own, max_size=2)) if with_groups else []
    return TrainingConfig(name, draw(batches), draw(st.fixed_dictionaries(values_of(name))), run=run,
                          groups=tuple(ParameterGroup(f"group {i}", values) for i, values in enumerate(groups)))
