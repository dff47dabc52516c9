"""What formats say and refuse beyond the files of the corpus: their programs' switches, recipes and units."""

import pytest
from samples import text_of

from sqrtscale.formats import patch, read
from sqrtscale.rules import FieldError, scale


def changed(name, *pairs):
    text = text_of(name)
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("name, pairs, refused", [
    ("torchtune.yaml", [("batch_size: 4\n", "batch_size: 4\nppo_batch_size: 32\n")], "ppo_batch_size.*reinforcement learning"),
    ("torchtune.yaml", [("torch.optim.AdamW", "torch.optim.Adagrad")], "Adagrad.*has no derived rule"),
    ("diffusion_pipe.toml", [("stabilize = false", "stabilize = true")], "stabilize.*StableAdamW"),
    ("diffusion_pipe.toml", [("stabilize = false", "gradient_release = true")], "gradient_release.*every micro batch"),
    ("diffusion_pipe.toml", [("stabilize = false", "beta2_half_life = 1000")], r"beta2_half_life.*0\.5\^\(batch"),
    ("diffusion_pipe.toml", [("micro_batch_size_per_gpu = 2\n", "micro_batch_size_per_gpu = [[512, 4], [1024, 1]]\n")],
     "micro_batch_size_per_gpu"),
    ("llmfoundry.yaml", [("weight_decay: 1.0e-5", "weight_decay: 1.0e-5\n  amsgrad: true")], "amsgrad"),
    ("llmfoundry.yaml", [("weight_decay: 1.0e-5", "weight_decay: 1.0e-5\n  param_groups: [{param_str_match: bias, eps: 1e-6}]")],
     r"param_groups\[0\].eps.*one group alone"),
    ("kohya_lora.toml", [('"AdamW8bit"', '"AdamWScheduleFree"')], "ScheduleFree.*has no derived rule"),
    ("kohya_equals.sh", [("--use_8bit_adam", "--use_lion_optimizer")], "Lion"),
    ("ai_toolkit.yaml", [("meta:", "    - type: 'sd_trainer'\nmeta:")], "trainings of their own"),
    ("mae_pretrain.sh", [("main_pretrain.py", "main_linprobe.py")], "LARS.*has no derived rule"),
    ("flat.json", [('"Adam"', '"AdamW",\n  "amsgrad": true')], "amsgrad.*is not covered"),
    ("keras2_rmsprop.json", [('"RMSprop"', '"Addons>AdamW"')], "weights without lr"),
    ("ultralytics_args.yaml", [("nbs: 64", "nbs: 0.5")], "nbs.*no number of samples"),
    ("tfjs_saved.json", [('"epsilon": 1e-7', '"epsilon": 1e-7, "centered": true')], "centered.*tfjs"),
])
def test_a_switch_that_makes_another_training_is_refused(name, pairs, refused):
    with pytest.raises(FieldError, match=refused):
        read(changed(name, *pairs), name)


@pytest.mark.parametrize("name, pairs, state", [
    ("torchtune_lora.yaml", [], "dtype = bf16"),
    ("torchtune_lora.yaml", [("dtype: bf16", "dtype: fp32")], ""),
    ("torchtune_lora.yaml", [("torch.optim.AdamW", "bitsandbytes.optim.PagedAdamW")], ""),
    ("diffusion_pipe_optimi.toml", [], "adapter.dtype = bfloat16"),
    ("diffusion_pipe_optimi.toml", [("[adapter]\ntype = 'lora'\nrank = 16\ndtype = 'bfloat16'\n", "")], "model.dtype = bfloat16"),
    ("diffusion_pipe.toml", [], ""),  # eight bits, by blocks
])
def test_it_is_known_whether_second_moments_are_kept_in_bfloat16(name, pairs, state):
    imported = read(changed(name, *pairs), name)
    assert imported.bf16_state == state
    base = imported.config({"devices": 1, "beta2": 0.999})
    said = " ".join(imported.problems(scale(base, 2 * base.batch_size)))
    assert ("bfloat16" in said) == bool(state)


def base_of(text, name, **answers):
    return {key: value for key, value in read(text, name).config(answers).as_dict().items() if value is not None}


@pytest.mark.parametrize("command, script, decay, batch", [
    ("train_text_to_image_lora.py", "", 1e-2, 16), ("train_dreambooth_lora_sdxl.py", "", 1e-4, 4),
    ("train_dreambooth.py", "", 1e-2, 4), ("train_text_to_image_decoder.py", "", 0.0, 1)])
def test_defaults_of_diffusers_are_those_of_the_script(command, script, decay, batch):
    text = (f"accelerate launch --num_processes 2 {command} --pretrained_model_name_or_path some/model --resolution 512 "
            "--learning_rate 1e-4 --max_train_steps 1000 --mixed_precision bf16 --lr_scheduler constant --lr_warmup_steps 0")
    base = base_of(text, "run.sh")
    assert (base["weight_decay"], base["batch_size"]) == (decay, 2 * batch) and "warmup_steps" not in base


def test_of_a_script_that_is_not_known_the_defaults_are_asked_for():
    imported = read("accelerate launch --num_processes 2 my_train.py --pretrained_model_name_or_path some/model --resolution 512 "
                    "--learning_rate 1e-4 --max_train_steps 1000 --mixed_precision bf16 --lr_scheduler constant", "run.sh")
    assert imported.format == "diffusers"
    assert {question.field for question in imported.questions} == {"weight_decay", "per_device"}


def test_defaults_of_litgpt_are_those_of_the_recipe():
    train = "--train.global_batch_size 64 --train.micro_batch_size 4 --train.max_seq_length 512 --optimizer.init_args.lr 1e-4"
    pretrain = base_of(f"litgpt pretrain pythia-14m {train} --optimizer.class_path torch.optim.AdamW", "run.sh")
    tune = base_of(f"litgpt finetune_lora checkpoints/x {train} --optimizer.class_path torch.optim.AdamW", "run.sh")
    assert (pretrain["warmup_steps"], pretrain["clip_norm"], pretrain["min_lr"]) == (2000, 1.0, 4e-5)
    assert tune["warmup_steps"] == 100 and not {"clip_norm", "min_lr"} & set(tune)


def test_before_optimizers_had_a_table_litgpt_had_its_own_adamw():
    text = changed("litgpt_pretrain.yaml", ("  log_interval: 1\n", "  log_interval: 1\n  learning_rate: 3e-4\n  beta1: 0.8\n"))
    base = base_of(text[:text.index("optimizer:\n")] + text[text.index("devices: auto"):], "litgpt_pretrain.yaml")
    assert (base["lr"], base["betas"], base["weight_decay"]) == (3e-4, [0.8, 0.95], 0.02)


@pytest.mark.parametrize("extra, beta2", [
    ("mask_ratio: 0.75", 0.95), ("layer_decay: 0.75", 0.999), ("model: mae_vit_base", 0.95)])
def test_mae_is_told_by_the_arguments_that_one_script_alone_has(extra, beta2):
    text = changed("mae_unknown.yaml", ("model: vit_small\n", ""))
    assert base_of(f"{text}{extra}\n", "mae_unknown.yaml", devices=1)["betas"] == [0.9, beta2]


def test_arguments_of_both_of_maes_scripts_are_refused():
    with pytest.raises(FieldError, match="pretraining and of fine-tuning"):
        read(text_of("mae_unknown.yaml") + "mask_ratio: 0.75\nlayer_decay: 0.75\n", "mae_unknown.yaml")


def test_a_target_that_ultralytics_cannot_make_of_its_passes_is_refused():
    text = text_of("ultralytics_args.yaml")
    imported = read(text, "args.yaml")
    base = imported.config()
    assert "nbs: 256" in patch(text, imported, scale(base, 256)).text
    with pytest.raises(FieldError, match="target = 250 is no multiple of 16"):
        patch(text, imported, scale(base, 250))


def test_weight_decay_of_ultralytics_is_written_as_it_acts_even_at_the_same_batch():
    text = text_of("ultralytics_large.yaml")
    imported = read(text, "args.yaml")
    after = patch(text, imported, scale(imported.config(), 128)).text
    assert "nbs: 128" in after and "weight_decay: 0.001" in after
    assert read(after, "args.yaml").config() == imported.config()


@pytest.mark.parametrize("key", ["batch_size_per_gpu: 4", "warmup_ratio: 0.1", "params: {a: 1}", "optim_bits: 8"])
def test_hyperparameters_alone_are_alone(key):
    text = "optimizer: adamw\nlr: 1e-3\nbetas: [0.9, 0.95]\nweight_decay: 0.1\n"
    assert read(text, "x.yaml").format == "flat"
    with pytest.raises(FieldError, match="is not recognised"):
        read(f"{text}{key}\n", "x.yaml")


@pytest.mark.parametrize("batch", ["[[512, 4]]", "'auto'", "0", "-1", "1.5"])
def test_a_batch_that_is_no_number_of_samples_is_never_taken_for_one(batch):
    for name, old in (("kohya_lora.toml", "train_batch_size = 2"), ("diffusion_pipe.toml", "micro_batch_size_per_gpu = 2")):
        text = changed(name, (old, f"{old.partition(' ')[0]} = {batch}"))
        try:
            fields = {question.field for question in read(text, name).questions}
        except FieldError:
            continue
        assert {"per_device", "batch_size"} & fields
