"""Snippets whose lr follows a noise scale over samples seen: run against the real libraries, compared with the course itself."""

import math
import re

import pytest
import running
from hypothesis import given
from hypothesis import strategies as st
from libraries import library

from sqrtscale.formats.snippets import SNIPPETS, remarks, snippet
from sqrtscale.formats.snippets._course import MOST_ROWS, function_lines, lr_course
from sqrtscale.rules import FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.batch import Batch
from sqrtscale.rules.signal import NoiseScaleCurve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
COURSE = NoiseScaleCurve.of([(0, 2.9), (40, 20.0), (100, 70.0), (250, 102.0)])
BASE, TARGET, LR = 8, 16, 3e-4
GROUPS = (ParameterGroup("head", {"lr": 1e-3}),)
WITHIN = 2e-3  # a table is within 0.1%, float32 adds a little


def scaled_run(optimizer="adamw", noise_scale=None, warmup=8, groups=(), **run):
    config = TrainingConfig(optimizer, BASE, {"lr": LR}, 48, warmup, run, groups)
    return scale(config, TARGET, "half-life", noise_scale=noise_scale)


def expected(step, peak=LR):
    """The noise-aware lr before that step at the target batch, sqrt(kappa q) times the base's: worked out from v' / v alone."""
    noise = COURSE.at(step * TARGET)
    r = (1 + noise / TARGET) / (1 + noise / BASE)
    return peak * TARGET / BASE * math.sqrt(r)


either = pytest.mark.parametrize("noise_scale", [None, 46.6])  # what the other values were scaled with changes no lr


@either
def test_pytorch_walks_the_course_times_the_schedule(noise_scale):
    torch = library("torch")
    parameters = {name: [torch.nn.Parameter(torch.ones(2))] for name in ("others", "head")}
    text = snippet(scaled_run(noise_scale=noise_scale, groups=GROUPS), "pytorch", course=COURSE)
    made = running.namespace(text, parameters=parameters)
    for step in range(24):
        rates = [group["lr"] for group in made["optimizer"].param_groups]
        warm = min(1, (step + 1) / 4)
        assert rates == pytest.approx([expected(step) * warm, expected(step, 1e-3) * warm], rel=WITHIN)
        made["optimizer"].step()
        made["scheduler"].step()
    assert "leave this scheduler out of prepare" in text


def test_without_warm_up_the_schedule_of_pytorch_is_the_course():
    made = running.namespace(snippet(scaled_run(warmup=None), "pytorch", course=COURSE))
    assert made["optimizer"].param_groups[0]["lr"] == pytest.approx(expected(0), rel=WITHIN)


def trained_by_hugging_face(text, scheduler=None):
    """The lr of every update of the optimizer, and those that Trainer logs."""
    library("accelerate")
    torch, transformers = library("torch"), library("transformers")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x):
            return {"loss": self.layer(x).square().mean()}

    net = Net()
    quiet = text.replace('"output"', '"output", report_to=[], disable_tqdm=True, use_cpu=True, save_strategy="no"')
    made = running.namespace(quiet, model=net)
    own = made.get("optimizer")
    trainer = transformers.Trainer(net, made["arguments"], optimizers=(own, scheduler and scheduler(own)),
                                   callbacks=[made["NoiseAware"]()], train_dataset=[{"x": torch.ones(2)} for _ in range(400)])
    taken = []
    trainer.create_optimizer().register_step_pre_hook(lambda o, *_: taken.append(o.param_groups[0]["lr"]))
    trainer.train()
    return taken, [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_hugging_face_multiplies_its_own_schedule_for_each_update(optimizer):
    text = snippet(scaled_run(optimizer, schedule="cosine", log_interval=2), "huggingface", Batch(4, 4, 1), COURSE)
    assert re.search(r"# Trainer\(model, arguments, .*callbacks=\[NoiseAware\(\)\], \.\.\.\)", text)
    taken, logged = trained_by_hugging_face(text)
    peak = scaled_run(optimizer).config["lr"]
    shape = [min(1, k / 4) if k < 4 else (1 + math.cos(math.pi * (k - 4) / 20)) / 2 for k in range(24)]
    assert len(taken) == 24 and logged == pytest.approx([peak * share for share in shape], abs=1e-12)  # Trainer's own is intact
    assert taken == pytest.approx([expected(k) * share for k, share in enumerate(shape)], rel=WITHIN, abs=1e-12)


def test_a_schedule_that_computes_each_lr_from_the_last_one_goes_on_in_hugging_face():
    torch = library("torch")
    text = snippet(scaled_run("adam", warmup=None), "huggingface", Batch(4, 4, 1), COURSE)
    taken, _ = trained_by_hugging_face(text, lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9))
    assert taken == pytest.approx([expected(k) * 0.9**k for k in range(24)], rel=WITHIN)


@pytest.mark.parametrize("warmup", [None, 8])
def test_lightning_trains_along_the_course(warmup):
    torch = library("torch")
    text = snippet(scaled_run(warmup=warmup), "lightning", Batch(8, 2, 1), COURSE)
    module, made = running.lightning_module(text)
    trainer, rates = made["trainer"], []
    step = module.training_step
    module.training_step = lambda *now: (rates.append(trainer.optimizers[0].param_groups[0]["lr"]), step(*now))[1]
    data = torch.utils.data.TensorDataset(torch.ones(400, 2))
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=8))
    warm = [min(1, (k + 1) / 4) if warmup else 1 for k in range(24)]
    assert rates[::2] == pytest.approx([expected(k) * warm[k] for k in range(24)], rel=WITHIN)


@either
@pytest.mark.parametrize("warmup", [None, 8])
def test_keras_follows_by_batches(warmup, noise_scale):
    keras = library("keras")
    text = snippet(scaled_run(warmup=warmup, noise_scale=noise_scale), "keras", Batch(4, 2, 2), COURSE)
    made = running.namespace(text)
    optimizer, x = made["optimizer"], keras.Variable([0.0])
    for batch in range(48):
        warm = min(1, batch / 8) if warmup else 1
        assert float(optimizer.learning_rate) == pytest.approx(expected(batch / 2) * warm, rel=WITHIN, abs=1e-12)
        optimizer.apply([keras.ops.ones((1,))], [x])
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again._learning_rate) is made["NoiseAware"]


@pytest.mark.parametrize("warmup", [None, 8])
def test_optax_takes_steps_along_the_course(warmup):
    jax = library("jax")
    scaled = scaled_run("optax_adamw", warmup=warmup, groups=GROUPS)
    peaks = {"others": LR, "head": 1e-3}
    with jax.enable_x64(True):
        made = running.namespace(snippet(scaled, "optax", Batch(4, 2, 2), COURSE), labels={name: name for name in peaks})
        weights, gradients = ({name: jax.numpy.full(1, value) for name in peaks} for value in (0.0, 100.0))  # of 0 nothing decays
        state, moves, update = made["optimizer"].init(weights), [], jax.jit(made["optimizer"].update)
        for _ in range(48):
            taken, state = update(gradients, state, weights)
            moves.append([-float(taken[name][0]) for name in peaks])
    warm = [min(1, k / 4) if warmup else 1 for k in range(24)]
    for k, move in enumerate(moves[1::2]):  # every other batch accumulates
        assert move == pytest.approx([expected(k, peak) * warm[k] for peak in peaks.values()], rel=WITHIN, abs=1e-12)


def test_optax_without_groups():
    jax = library("jax")
    made = running.namespace(snippet(scaled_run("optax_adamw", warmup=None), "optax", course=COURSE))["optimizer"]
    update, _ = made.update(jax.numpy.ones(1), made.init(jax.numpy.zeros(1)), jax.numpy.zeros(1))
    assert -float(update[0]) == pytest.approx(expected(0), rel=WITHIN)


@pytest.mark.parametrize("name", ["deepspeed", "timm"])
def test_formats_without_a_place_say_the_factors(name):
    scaled = scaled_run()
    text = snippet(scaled, name, course=COURSE)
    said = " ".join(remarks(scaled, name, COURSE)) if name == "deepspeed" else re.sub(r"\n# ", " ", text)
    assert "this format has no place for that factor" in said
    for samples, factor in lr_course(scaled, COURSE).rows:
        assert f"{factor:.6g} at {samples:.12g}" in said
    assert remarks(scaled, name) == remarks(scaled, name, None) and "no place" not in snippet(scaled, name)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop_centered"])
def test_an_lr_that_does_not_follow_says_so_and_has_no_table(optimizer):
    scaled = scaled_run(optimizer)
    line = "does not follow the noise scale"
    text = snippet(scaled, "pytorch", course=COURSE)
    assert line in text and "\n".join(row for row in text.split("\n") if line not in row) == snippet(scaled, "pytorch")


@pytest.mark.parametrize("name", [name for name in SNIPPETS if name != "deepspeed"])
def test_what_does_not_follow_is_said(name):
    def said(**options):
        return re.sub(r"\n# ", " ", snippet(scaled_run(**options), name, course=COURSE))

    assert "lr follows a noise scale between 2.9 and 102 by a factor over samples seen, to within 0.1%" in said()
    assert "every other value stays that of the square-root rule, but the weight decay is multiplied by lr" in said()
    assert "every other value stays that of a noise scale of 46.6" in said(noise_scale=46.6)
    assert "weight decay is multiplied" not in re.sub(r"\n# ", " ", snippet(
        scale(TrainingConfig("adam", 8, {"lr": LR}), 16), name, course=COURSE))


def test_one_course_cannot_stand_for_groups_with_noise_scales_of_their_own():
    scaled = scaled_run(noise_scale={"": 50.0, "head": 20.0}, groups=GROUPS)
    with pytest.raises(FieldError, match=r"noise_scale = .* is one for each parameter group, where a course is of the whole"):
        snippet(scaled, "pytorch", course=COURSE)


points = st.dictionaries(st.integers(0, 10**7), st.floats(0.1, 1e6), min_size=1, max_size=12).map(lambda of: sorted(of.items()))


@given(points, st.integers(1, 5000), st.integers(1, 5000), st.lists(st.floats(0, 1), min_size=20, max_size=20))
def test_a_table_is_as_near_to_its_course_as_it_says(points, base, target, shares):
    course = NoiseScaleCurve.of(points)
    factors = lr_course(scale(TrainingConfig("adam", base, {"beta1": 0.0}), target, "half-life"), course)
    assert 1 <= len(factors.rows) <= MOST_ROWS and factors.off >= 1e-3
    factor = function_of(factors)
    for samples in (share * 1.1 * points[-1][0] for share in shares):
        assert abs(math.log(factor(samples) / course.lr_factor(base, target, samples))) < factors.off + 4e-4


@pytest.mark.parametrize("lowest, highest", [(2.0, 500.0), (500.0, 2.0), (50.0, 50.0)])
def test_a_straight_rise_is_followed_all_along(lowest, highest):
    course = NoiseScaleCurve.of([(0, lowest), (10**6, highest)])
    factors = lr_course(scale(TrainingConfig("adam", 8), 1024, "half-life"), course)
    assert factors.off == 1e-3 and (len(factors.rows) == 2) == (lowest == highest)
    factor = function_of(factors)
    for samples in range(0, 10**6, 997):
        assert factor(samples) == pytest.approx(course.lr_factor(8, 1024, samples), rel=1.4e-3)


def function_of(factors):
    """What a snippet makes of a table."""
    made = {}
    exec("\n".join(["from bisect import bisect", *function_lines(factors)]), made)
    return made["lr_factor"]


def test_a_course_of_many_points_is_cut_to_a_table_that_can_be_read():
    course = NoiseScaleCurve.of((k * 1000, 50.0 * (1 + 0.3 * math.sin(k))) for k in range(500))
    factors = lr_course(scale(TrainingConfig("adam", 8), 32), course)
    assert len(factors.rows) <= MOST_ROWS and factors.off > 2e-3 and "to within 0.1%" not in factors.told
    factor = function_of(factors)
    missed = max(abs(math.log(factor(at) / course.lr_factor(8, 32, at))) for at, _ in course.points)
    assert missed == pytest.approx(factors.off, rel=1e-3)
