"""What makes a transfer doubtful is said: reinforcement learning, bfloat16 state, OneCycle, optimizers switched on elsewhere."""

import json

import pytest
from samples import text_of

from sqrtscale.cli import main
from sqrtscale.formats import double_scaling, double_scaling_in_text, patch, read
from sqrtscale.formats._accounting import judged
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import Batch

HF = {"per_device_train_batch_size": 8, "learning_rate": 1e-4, "optim": "adamw_torch"}


def hf(**changes):
    return json.dumps(HF | changes)


@pytest.mark.parametrize(
    "changes, counted",
    [
        ({"reward_funcs": ["accuracy"], "num_generations": 16}, "completions (num_generations = 16 of each prompt)"),
        ({"rl": "grpo"}, "rl = grpo"),
        ({"stage": "ppo"}, "stage = ppo"),
        ({"kl_coef": 0.05}, "kl_coef"),
    ],
)
def test_reinforcement_learning_is_not_covered_and_check_does_not_say_in_range(changes, counted, tmp_path, capsys):
    (uncovered,) = read(hf(**changes)).uncovered
    assert "does not cover" in uncovered and counted in uncovered
    (tmp_path / "args.json").write_text(hf(**changes))
    code = main(["check", "--from", str(tmp_path / "args.json"), "--devices", "4", "--target", "64"])
    said = capsys.readouterr().out
    assert code == 1 and "in its range" not in said and "reinforcement learning" in said


@pytest.mark.parametrize(
    "changes", [{"rl": "dpo"}, {"stage": "sft"}, {"stage": "rm"}, {"num_generations": None}, {"algorithm": "adam"}]
)
def test_other_training_is_not_taken_for_it(changes):
    assert read(hf(**changes)).uncovered == ()


@pytest.mark.parametrize(
    "switch, name",
    [
        ("use_muon", "Muon"),
        ("use_galore", "GaLore"),
        ("use_apollo", "APOLLO"),
        ("use_badam", "BAdam"),
        ("use_adam_mini", "Adam-mini"),
        ("adafactor", "Adafactor"),
        ("use_prodigy", "Prodigy"),
        ("schedule_free", "Schedule-Free"),
        ("enable_lion", "Lion"),
    ],
)
def test_an_optimizer_that_is_switched_on_elsewhere_is_the_files(switch, name):
    with pytest.raises(FieldError, match=f"^{switch} = True replaces the optimizer by {name}, which has no derived rule"):
        read(hf(**{switch: True}))
    for off in (False, None, 0, "", "none"):
        assert read(hf(**{switch: off})).optimizer == "adamw"


@pytest.mark.parametrize(
    "changes, beta2, lost",
    [
        ({"pure_bf16": True}, 0.999, True),
        ({"optim": "adamw_anyprecision"}, 0.999, True),
        ({"pure_bf16": True}, 0.99, False),
        ({"bf16": True}, 0.999, False),
        ({"optimizer_state_dtype": "bfloat16"}, 0.998, True),
    ],
)
def test_second_moments_in_bfloat16_that_cannot_move_are_named(changes, beta2, lost):
    imported = read(hf(adam_beta2=beta2, **changes))
    problems = imported.problems(scale(imported.config({"devices": 8}), 64))
    assert any("is lost in bfloat16" in problem for problem in problems) == lost


def test_onecycle_overwrites_the_betas():
    assert any("OneCycle sets beta1" in note for note in read(hf(lr_scheduler_type="onecycle")).notes)
    groups = [
        {
            "params": [0],
            "lr": 1e-4,
            "max_lr": 1e-3,
            "min_lr": 1e-8,
            "betas": [0.95, 0.999],
            "eps": 1e-8,
            "weight_decay": 0.0,
            "base_momentum": 0.85,
            "max_momentum": 0.95,
            "amsgrad": False,
            "decoupled_weight_decay": False,
        }
    ]
    assert any("OneCycle moves beta1" in note for note in read(json.dumps(groups)).notes)


@pytest.mark.parametrize(
    "data, key",
    [
        ({"blr": 1.5e-4}, "blr"),
        ({"optim": {"base_lr": 2e-3}}, "optim.base_lr"),
        ({"lr_scale": "sqrt"}, "lr_scale"),
        ({"lr_scale_sqrt": True}, "lr_scale_sqrt"),
        ({"a": {"parallel_scaling_policy": "sqrt"}}, "a.parallel_scaling_policy"),
        ({"lr_scaling_policy": "linear"}, "lr_scaling_policy"),
    ],
)
def test_more_programs_that_scale_by_themselves(data, key):
    (said,) = double_scaling(data)
    assert said.startswith(f"{key}: ")


@pytest.mark.parametrize(
    "text", ["lr = 1e-3 * hvd.size()", "args.lr *= accelerator.num_processes", "lr=base * dist.get_world_size()"]
)
def test_programs_that_multiply_by_their_workers(text):
    assert any("number of workers" in said for said in double_scaling_in_text(text))
    assert double_scaling_in_text("print(accelerator.num_processes, world_size)") == ()


@pytest.mark.parametrize(
    "path, value, kind, decides",
    [
        (("adam_beta1",), 0.9, "beta", False),
        (("opt", "betas"), [0.9, 0.99], "beta", False),
        (("learningRate",), 1e-3, "learning rate", True),
        (("MODEL", "BASE_LR"), 0.1, "learning rate", True),
        (("text_encoder_lr",), 1e-5, "learning rate", False),
        (("lr_warmup_iters",), 100, "number of steps", False),
        (("global_batch_size",), 32, "batch size", True),
        (("bs",), 8, "batch size", True),
        (("val", "batch_size"), 8, "batch size", False),
        (("eval_batch_size",), 8, "", False),
        (("batch_norm_eps",), 1e-5, "", False),
        (("rms_norm_eps",), 1e-6, "", False),
        (("grad_acc_steps",), 4, "gradient accumulation", True),
        (("update_freq",), 2, "gradient accumulation", True),
        (("optimizer", "name"), "lion", "optimizer", True),
        (("optimizers", 0, "_target_"), "x.Lion", "optimizer", True),
        (("optim",), "adamw", "optimizer", True),
        (("optimizer_offload",), "cpu", "", False),
        (("lr_scheduler", "name"), "cosine", "", False),
        (("weight_decay",), 0, "", False),
        (("weight_decay",), "0.1", "decay", False),
        (("warmup_ratio",), 0.1, "warm-up", False),
        (("momentum",), 0.9, "momentum", False),
        (("hidden_size",), 768, "", False),
        (("dropout",), 0.1, "", False),
        (("lr",), True, "", False),
    ],
)
def test_what_a_key_looks_like(path, value, kind, decides):
    assert judged(path, value) == (kind, decides)


def test_a_rate_that_nobody_reads_is_never_replaced_by_a_default():
    imported = read(json.dumps({"per_device_train_batch_size": 8, "peak_learning_rate": 3e-4}))
    assert "lr" not in imported.hyperparameters and "lr" in {question.field for question in imported.questions}
    assert imported.unread == ("peak_learning_rate = 0.0003 (looks like a learning rate)",)


def test_a_batch_or_an_optimizer_that_nobody_reads_is_refused():
    for key, value in (("global_train_batch", 512), ("optimizer_type", "prodigy"), ("my_optimizer", "adamw")):
        with pytest.raises(
            FieldError, match=f"^{key} = .*is not read here as Hugging Face TrainingArguments, so no number would be right"
        ):
            read(hf(**{key: value}))


def test_following_values_that_overflow_are_refused_by_name():
    text = text_of("timm_adamw.yaml").replace("warmup_lr: 1.0e-06", "warmup_lr: 1e308")
    imported = read(text)
    base = imported.config({"devices": 1})
    with pytest.raises(FieldError, match=r"^warmup_lr = 1e\+308 leaves the range of floating-point numbers"):
        patch(text, imported, scale(base, base.batch_size * 8))


def test_a_card_without_an_optimizer_asks_for_it_and_is_patched():
    card = "# model\n\n- learning_rate: 0.0002\n- train_batch_size: 4\n- num_devices: 2\n- gradient_accumulation_steps: 4\n"
    imported = read(card)
    assert [question.field for question in imported.questions] == ["optimizer"]
    base = imported.config({"optimizer": "adamw"})
    patched = patch(card, imported, scale(base, 128), Batch(4, 16, 2))
    assert "- learning_rate: 0.0004\n" in patched.text and "- gradient_accumulation_steps: 16\n" in patched.text
    assert any(note.startswith("optimizer.beta1 = 0.6") for note in patched.notes)
    assert read(patched.text).config({"optimizer": "adamw"})["lr"] == 4e-4


def test_torchtitan_in_tokens_without_a_count_a_rank_asks_for_it():
    text = text_of("torchtitan_tokens.py").replace("num_tokens_per_microbatch_per_dp_rank=8 * 2048,", "")
    imported = read(text)
    assert imported.batch.total == 131072 and "per_device" not in {
        question.field for question in imported.questions if question.required
    }
    scaled = scale(imported.config(), 262144)
    assert "num_tokens_per_train_step=262144" in patch(text, imported, scaled).text
