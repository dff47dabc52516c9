"""The rule against decimal arithmetic, field by field and family by family, and what a transfer reports."""

import json
from decimal import Decimal, getcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import FORMS, MOMENTA, batches, configurations, decays, forms, momentum_forms

from sqrtscale.rules import FAMILIES, RUN_FIELDS, UNDERIVED, FieldError, ParameterGroup, TrainingConfig, scale

getcontext().prec = 60

# value' = sqrt(kappa)^exponent value: written down once more from docs/theory.md and each library's update equation.
ADAM = {"lr": 1, "eps": -1, "weight_decay": 0}  # L2 is part of the gradient
DECOUPLED = {"lr": 1, "eps": -1, "weight_decay": 1}  # shrinks by lr weight_decay a step
HALVES = {
    "adam": ADAM, "amsgrad": ADAM, "radam": ADAM, "nadam": ADAM | {"momentum_decay": 2},
    "keras_adam": DECOUPLED, "optax_adam": {"lr": 1, "eps": -1, "eps_root": -2},
    "adamw": DECOUPLED, "keras_adamw": DECOUPLED, "optax_adamw": DECOUPLED | {"eps_root": -2},
    "composer_adamw": DECOUPLED | {"weight_decay": 2},  # shrinks by weight_decay a step
    "rmsprop": ADAM | {"momentum": 0}, "rmsprop_centered": ADAM | {"momentum": 0},
    "keras_rmsprop": DECOUPLED | {"eps": -2, "momentum": 0},  # eps inside the root
    "keras_rmsprop_centered": DECOUPLED | {"eps": -2, "momentum": 0},
    "optax_rmsprop": {"lr": 1, "eps": -2, "momentum": 0}, "optax_rmsprop_outside": {"lr": 1, "eps": -1, "momentum": 0},
    "timm_rmsproptf": ADAM | {"eps": -2, "momentum": 0},
    "sgd": {"lr": 2, "momentum": 0, "weight_decay": 0},
}
VALUES = {"lr": "3e-4", "beta1": "0.9", "beta2": "0.95", "alpha": "0.98", "eps": "1e-6", "eps_root": "1e-9",
          "weight_decay": "0.1", "momentum": "0.85", "momentum_decay": "0.004"}
PAIRS = [(256, 1024), (1024, 256), (96, 500), (500, 96), (7, 3), (4096, 1)]


def config_of(name, base, **more):
    return TrainingConfig(name, base, {field: float(VALUES[field]) for field in FAMILIES[name].fields}, **more)


def rows_of(scaled):
    return {row.name: row for row in scaled.fields}


def test_the_table_has_every_family_and_field():
    decays = {"beta1", "beta2", "alpha"}
    assert {name: set(kin.fields) - decays for name, kin in FAMILIES.items()} == {name: set(row) for name, row in HALVES.items()}


@pytest.mark.parametrize("base, target", PAIRS)
@pytest.mark.parametrize("name", FAMILIES)
def test_values_by_decimal_arithmetic(name, base, target):
    config, kappa = config_of(name, base), Decimal(target) / Decimal(base)
    rows = rows_of(scale(config, target))
    assert list(rows) == list(FAMILIES[name].fields)
    for field, row in rows.items():
        value = Decimal(VALUES[field])
        if field in HALVES[name]:
            exact = float(value * kappa.sqrt() ** HALVES[name][field])
            assert row.scaled == pytest.approx(exact, rel=5e-16, abs=0), field
            assert row.half_life is None and row.largest_kappa is None
        else:
            assert row.scaled == float(1 - kappa * (1 - value)), field  # correctly rounded
            assert row.half_life == pytest.approx(float(value**kappa), rel=1e-14)
            assert row.largest_kappa == pytest.approx(float(1 / (1 - value)), rel=5e-16)
    half_life = scale(config, target, "half-life")
    assert all(row.scaled == rows[row.name].half_life for row in half_life.fields if row.half_life is not None)
    assert all(row.scaled == rows[row.name].scaled for row in half_life.fields if row.half_life is None)


@pytest.mark.parametrize("base, target", PAIRS)
@pytest.mark.parametrize("name", FAMILIES)
def test_fields_of_the_run_by_decimal_arithmetic(name, base, target):
    run = {"schedule": "cosine", "warmup_fraction": 0.03, "decay_steps": 3_000_000, "milestones": (1_000_000, 5_000_000),
           "milestone_factor": 0.1, "gamma_per_step": 0.9995, "min_lr": 2e-5, "eval_interval": 25_000, "log_interval": 50_000,
           "checkpoint_interval": 75_000, "ema_decay": 0.9999, "clip_norm": 0.7, "dropout": 0.2, "label_smoothing": 0.15,
           "loss_reduction": "mean"}
    scaled = rows_of(scale(config_of(name, base, total_steps=10_000_000, warmup_steps=200_000, run=run), target, "half-life"))
    kappa = Decimal(target) / Decimal(base)
    given = {"total_steps": 10_000_000, "warmup_steps": 200_000, **run}
    assert set(given) == set(RUN_FIELDS)
    for field, value in given.items():
        now = scaled[field].scaled
        if field in ("schedule", "warmup_fraction", "milestone_factor", "dropout", "label_smoothing", "loss_reduction"):
            assert now == value
        elif field in ("ema_decay", "gamma_per_step"):
            assert now == pytest.approx(float(Decimal(repr(value)) ** kappa), rel=1e-14)
        elif field in ("min_lr", "clip_norm"):
            halves = HALVES[name]["lr"] if field == "min_lr" else -1  # the norm of noise falls by sqrt(kappa)
            assert now == pytest.approx(float(Decimal(repr(value)) * kappa.sqrt() ** halves), rel=5e-16)
        else:
            several = value if isinstance(value, tuple) else (value,)
            exact = tuple(int((one / kappa).quantize(1, "ROUND_HALF_UP")) for one in several)
            assert now == (exact if isinstance(value, tuple) else exact[0]), field


@pytest.mark.parametrize("name", FAMILIES)
def test_no_number_and_range_for_every_decay(name):
    rows = rows_of(scale(config_of(name, 1), 1000))
    for field, about in FAMILIES[name].fields.items():
        assert (rows[field].scaled is None) == (rows[field].half_life is not None) == about.is_decay, field


@given(decays, batches, batches)
@example(0.9, 1, 10)
@example(0.9, 1, 11)
@example(0.999999, 1, 10**7)
def test_nothing_is_clamped(beta, base, target):
    """Either the decay is the formula's own value, or there is none, and then the formula has left [0, 1)."""
    scaled = scale(TrainingConfig("rmsprop", base, {"alpha": beta}), target)
    row = rows_of(scaled)["alpha"]
    exact = 1 - (Decimal(target) / Decimal(base)) * (1 - Decimal(repr(beta)))
    if row.scaled is None:
        assert exact < 0
        assert not scaled.complete and row.warning and f"alpha: {row.warning}" in scaled.warnings
    else:
        assert exact > -Decimal("1e-50") and row.scaled == pytest.approx(float(exact), rel=1e-15, abs=1e-50)
        assert not row.warning
    assert 0 <= row.half_life < 1


def test_decimals_stay_decimals():
    assert scale(TrainingConfig("adam", 256), 1024).config["beta1"] == 0.6
    assert scale(TrainingConfig("adam", 256, {"lr": 1e-3}), 1024).config["lr"] == 0.002
    assert rows_of(scale(TrainingConfig("adam", 1), 10))["beta1"].scaled == 0.0  # exactly at the end of the range


@pytest.mark.parametrize("beta, largest", [(0.9, 10), (0.95, 20), (0.98, 50), (0.99, 100), (0.999, 1000), (0.0, 1)])
def test_beyond_its_range_a_decay_has_no_number_but_a_way_out(beta, largest):
    config = TrainingConfig("rmsprop", 10, {"alpha": beta})
    inside = rows_of(scale(config, 10 * largest))["alpha"]
    assert (inside.scaled, inside.largest_kappa, inside.warning) == (0, largest, "")
    beyond = scale(config, 10 * largest + 1)
    row = rows_of(beyond)["alpha"]
    assert row.scaled is None and row.largest_kappa == largest and not beyond.complete
    assert row.half_life == pytest.approx(float(Decimal(str(beta)) ** (Decimal(10 * largest + 1) / 10)), rel=1e-12)
    for said in ("1 - kappa (1 - alpha) = -", "is not a decay rate", f"kappa = {largest}", f"{row.half_life:.6g}"):
        assert said in row.warning
    with pytest.raises(ValueError, match=r"^alpha = .* has no scaled value"):
        _ = beyond.config
    assert scale(config, 10 * largest + 1, "half-life").config["alpha"] == row.half_life
    assert json.loads(json.dumps(beyond.as_dict()))["scaled"]["alpha"] is None


@pytest.mark.parametrize("name", FAMILIES)
def test_every_field_says_how_why_and_how_sure(name):
    known = ("proved in the paper", "follows from the SDE", "published elsewhere", "derived by us", "convention")
    for form in FORMS:
        for momentum_form in MOMENTA:
            scaled = scale(config_of(name, 8, total_steps=1000, warmup_steps=100, run={"ema_decay": 0.99, "clip_norm": 1.0,
                                                                                       "min_lr": 0.0, "dropout": 0.1}),
                           16, form, momentum_form)
            for row in scaled.fields:
                assert row.formula.startswith(f"{row.name}' = ") and row.reason.endswith(".") and row.source
                assert row.status in known and row.label
                treated = FAMILIES[name].algorithm in ("adam", "adamw", "rmsprop")
                treated &= form == "linear" or row.half_life is None
                named = row.name in ("lr", "eps", "beta1", "beta2", "alpha")  # in the paper, where eps stands outside the root
                assert row.status != known[0] or (treated and named and "inside" not in row.label), row


@pytest.mark.parametrize("total, warmup, target, scaled, said", [
    (100_000, 2_000, 1024, (25_000, 500), []),
    (1000, 50, 1828, (140, 7), []),  # kappa = 7.14: 7.002 to 7 is 0.03% off, not worth saying
    (10, 0, 64, (40, 0), []),
    (10, 1, 1024, (3, 0), ["total_steps: 10 / kappa = 2.5 was rounded to 3, 20% off.",
                           "warmup_steps: 1 / kappa = 0.25 was rounded to 0, 100% off."]),
    (None, 5, 512, (None, 3), ["warmup_steps: 5 / kappa = 2.5 was rounded to 3, 20% off."]),
    (1000, 50, 2048, (125, 6), ["warmup_steps: 50 / kappa = 6.25 was rounded to 6, 4% off."]),
])
def test_steps_keep_the_samples_and_rounding_is_said(total, warmup, target, scaled, said):
    found = scale(TrainingConfig("adam", 256, {}, total, warmup), target, "half-life")
    assert (found.config.total_steps, found.config.warmup_steps) == scaled
    assert [warning for warning in found.warnings if "_steps: " in warning] == said


@pytest.mark.parametrize("milestones, target, scaled, said", [
    ((30_000, 60_000, 80_000), 1024, (7_500, 15_000, 20_000), ""),
    ((10, 15), 1024, (3, 4), "10 / kappa = 2.5 was rounded to 3, 20% off."),
    ((10, 11), 1024, None, "fall together"),
    ((1, 100), 1024, None, "before the first step"),
    ((10, 11), 64, (40, 44), ""),
])
def test_milestones_keep_the_samples_or_have_no_number(milestones, target, scaled, said):
    row = rows_of(scale(TrainingConfig("sgd", 256, run={"milestones": milestones}), target))["milestones"]
    assert row.scaled == scaled and said in row.warning and bool(row.warning) == bool(said)


@pytest.mark.parametrize("interval, target, scaled, said", [
    (100, 1024, 25, ""), (1, 1024, 1, "1 / kappa = 0.25 is less than one step of the target batch: it happens at every step."),
    (3, 1024, 1, "3 / kappa = 0.75 is less than one step"), (10, 1024, 3, "10 / kappa = 2.5 was rounded to 3, 20% off."),
    (1, 64, 4, ""),
])
@pytest.mark.parametrize("name", ["eval_interval", "log_interval", "checkpoint_interval"])
def test_an_interval_is_a_step_at_least(name, interval, target, scaled, said):
    """Logging every step is usual, and no reason to have no configuration."""
    found = scale(TrainingConfig("adam", 256, run={name: interval}), target)
    row = rows_of(found)[name]
    assert found.complete and row.scaled == scaled and row.warning.startswith(said) and bool(row.warning) == bool(said)


@given(st.integers(1, 10**6), st.integers(1, 4096), st.integers(1, 4096))
def test_steps_are_off_by_half_a_step_at_most(total, base, target):
    row = scale(TrainingConfig("adam", base, {}, total), target, "half-life").fields[-1]
    exact = Decimal(total) * base / target
    assert abs((row.scaled or 0) - exact) <= Decimal("0.5")
    assert (row.scaled is None) == (exact < Decimal("0.5"))
    if abs((row.scaled or 0) - exact) > exact / 50:
        assert row.warning


def test_less_than_one_step_is_no_number():
    found = scale(TrainingConfig("adam", 1, {}, 3), 64, "half-life")
    assert not found.complete and any("less than one step" in warning for warning in found.warnings)


# momentum scaled like a decay: kappa more on lr, in halves of a power.
@pytest.mark.parametrize("name, halves", [("rmsprop", 3), ("rmsprop_centered", 3), ("keras_rmsprop", 3), ("optax_rmsprop", 3),
                                          ("keras_rmsprop_centered", 3), ("timm_rmsproptf", 3), ("sgd", 4)])
def test_a_scaled_momentum_moves_lr_too(name, halves):
    config = config_of(name, 256, run={"min_lr": 1e-5})
    rows, kept = (rows_of(scale(config, 1024, momentum_form=form)) for form in ("scaled", "kept"))
    assert rows["momentum"].scaled == float(1 - 4 * (1 - Decimal("0.85"))) and kept["momentum"].scaled == 0.85
    assert rows["momentum"].half_life == pytest.approx(0.85**4) and kept["momentum"].half_life is None
    for field in ("lr", "min_lr"):
        assert rows[field].scaled == pytest.approx(rows[field].base * 2**halves, rel=1e-15)
        assert kept[field].scaled == pytest.approx(rows[field].base * 2 ** (halves - 2), rel=1e-15)
    others = set(rows) - {"lr", "min_lr", "momentum"}
    assert all(rows[other] == kept[other] for other in others)
    without = TrainingConfig(name, 256, dict(config.hyperparameters) | {"momentum": 0.0})
    assert scale(without, 1024, momentum_form="scaled").fields == scale(without, 1024).fields


@pytest.mark.parametrize("name, betas", [("adam", {"beta1": 0.95, "beta2": 0.99}), ("rmsprop", {"alpha": 0.99})])
def test_a_corrected_lr_makes_up_for_the_drift_of_the_forecast(name, betas):
    """At kappa = 8 the drift is 0.968 of the base's for Adam's (0.95, 0.99): THEORY, finite kappa, table."""
    config = TrainingConfig(name, 8, betas, run={"min_lr": 1e-5}, groups=(ParameterGroup("head", {"lr": 1.0}),))
    plain, corrected = scale(config, 64), scale(config, 64, correct_lr=True)
    assert plain.forecast == corrected.forecast and corrected.lr_corrected and not plain.lr_corrected
    if name == "adam":
        assert plain.forecast.drift == pytest.approx(0.968, abs=0.005)
    for before, after in zip(plain.rows, corrected.rows, strict=True):
        factor = 1 / plain.forecast.drift if before.name in ("lr", "min_lr") else 1
        assert after.scaled == pytest.approx(before.scaled * factor, rel=1e-12), before.name
        assert (after.status == "derived by us") == (factor != 1)
    for unknown in ("sgd", "nadam", "amsgrad", "rmsprop_centered"):
        assert scale(TrainingConfig(unknown, 8), 64).forecast is None
        with pytest.raises(FieldError, match=r"^correct_lr = True has no forecast for this optimizer"):
            scale(TrainingConfig(unknown, 8), 64, correct_lr=True)


@given(configurations(), batches, forms, momentum_forms)
def test_a_group_moves_as_a_configuration_of_its_own(config, target, form, momentum_form):
    scaled = scale_or_nothing(config, target, form, momentum_form)
    for group, found in zip(config.groups, scaled.groups if scaled else (), strict=scaled is not None):
        summed = {name: value for name, value in config.run.items() if name == "loss_reduction"}
        alone = TrainingConfig(config.optimizer, config.batch_size, dict(config.hyperparameters) | dict(group.values), run=summed)
        rows = rows_of(scale(alone, target, form, momentum_form))
        assert found.name == group.name and {row.name for row in found.fields} >= set(group.values)
        own = {row.name: row for row in found.fields}
        assert all(rows[name] == row for name, row in own.items())
        rows.pop("loss_reduction", None)
        whole = rows_of(scaled)  # what the group does not set is the optimizer's, scaled
        assert all((own.get(name) or whole[name]).scaled == row.scaled for name, row in rows.items())


@pytest.mark.parametrize("of_all, of_head, power", [(0.0, 0.9, 1.5), (0.9, 0.0, 0.5)])
def test_a_group_with_another_momentum_names_the_lr_that_it_inherits(of_all, of_head, power):
    config = TrainingConfig("rmsprop", 8, {"lr": 0.01, "momentum": of_all}, groups=(
        ParameterGroup("head", {"momentum": of_head}), ParameterGroup("rest", {"eps": 0.1})))
    scaled = scale(config, 32, momentum_form="scaled").config
    assert scaled["lr"] == pytest.approx(0.01 * 4 ** (2 - power))
    assert dict(scaled.groups[0].values) == {"lr": pytest.approx(0.01 * 4**power),
                                             "momentum": pytest.approx(1 - 4 * (1 - of_head) if of_head else 0.0)}
    assert dict(scaled.groups[1].values) == {"eps": 0.05}
    assert dict(scale(config, 32).config.groups[0].values) == {"momentum": of_head}


def scale_or_nothing(*arguments):
    """The transfer, or None where a value leaves the range of floating-point numbers."""
    try:
        return scale(*arguments)
    except FieldError as error:
        assert "kappa = " in str(error), error
        return None


def test_groups_come_back_in_the_scaled_configuration_and_warn_by_name():
    groups = (ParameterGroup("head", {"lr": 1e-2, "beta2": 0.95}), ParameterGroup("norms", {"weight_decay": 0.0}))
    scaled = scale(TrainingConfig("adamw", 8, {"beta2": 0.999}, groups=groups), 64)
    assert scaled.config.groups == (ParameterGroup("head", {"lr": pytest.approx(1e-2 * 8**0.5), "beta2": 0.6}),
                                    ParameterGroup("norms", {"weight_decay": 0.0}))
    assert any(warning.startswith("beta2 of head would average over fewer than 10 steps") for warning in scaled.warnings)
    assert [len(group["name"]) for group in scaled.as_dict()["scaled"]["groups"]] == [4, 5]
    out = scale(TrainingConfig("adamw", 8, {"beta2": 0.999}, groups=groups), 8 * 21, "linear")
    assert any(warning.startswith("head, beta2: 1 - kappa (1 - beta2) = -") for warning in out.warnings) and not out.complete
    with pytest.raises(FieldError, match=r"^head\.lr = -1 is not allowed"):
        TrainingConfig("adamw", 8, groups=(ParameterGroup("head", {"lr": -1}),))


@pytest.mark.parametrize("name", UNDERIVED)
def test_an_optimizer_without_a_rule_is_refused_with_what_is_known(name):
    about = UNDERIVED[name]
    with pytest.raises(FieldError) as error:
        TrainingConfig(name.upper(), 8)
    assert name not in FAMILIES and error.value.field == "optimizer"
    assert "has no derived rule" in str(error.value) and about.known in str(error.value) and about.source in str(error.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_json_has_the_promised_shape(name):
    run = {"milestones": (40, 80), "ema_decay": 0.999}
    config = TrainingConfig(name, 256, {}, 1000, 12, run, (ParameterGroup("head", {"lr": 0.5}),))
    plain = scale(config, 1024, "half-life").as_dict()
    found = json.loads(json.dumps(plain, allow_nan=False))
    assert plain == found, "not plain JSON types"
    assert list(found) == ["kappa", "decay_form", "momentum_form", "base", "scaled", "fields", "warnings", "forecast",
                           "lr_corrected"]
    own = set(FAMILIES[name].fields)
    own = own - {"beta1", "beta2"} | {"betas"} if "beta1" in own else own
    assert set(found["scaled"]) == set(found["base"]) == own | {
        "optimizer", "batch_size", "total_steps", "warmup_steps", "milestones", "ema_decay", "groups"}
    assert (found["kappa"], found["scaled"]["batch_size"], found["scaled"]["total_steps"]) == (4, 1024, 250)
    assert found["scaled"]["milestones"] == [10, 20] and found["scaled"]["groups"][0]["name"] == "head"
    assert found["base"] == config.as_dict()
    assert TrainingConfig.from_dict(found["scaled"]) == scale(config, 1024, "half-life").config
    for row in found["fields"]:
        assert {"name", "base", "scaled", "formula", "source", "status"} <= set(row)
    if "betas" in own and name != "composer_adamw":
        assert found["scaled"]["betas"] == [pytest.approx(0.6561), pytest.approx(0.999**4)]
    assert isinstance(found["warnings"], list) and all(isinstance(text, str) for text in found["warnings"])
