"""Export: the same file with other numbers. Comments, order and every byte that need not change stay."""

import json
import re

import pytest
import samples
from samples import NAMES, answers, text_of, there_and_back

from sqrtscale.formats import patch, read
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import Batch

READ = {name: read(text_of(name)).batch for name in NAMES}
BASES = {name: Batch(batch.per_device or 32, batch.accumulation or 1, batch.devices or 8) for name, batch in READ.items()}
BASES |= {"keras.json": Batch(32, 2, 1), "optax.json": Batch(128)}


def doubled(base):
    return Batch(base.per_device, base.accumulation, base.devices * 2)


def exported(text, target, **given):
    found = read(text)
    return patch(text, found, scale(found.config(given), target.size), target)


@pytest.mark.parametrize("target", ["more devices", "more accumulation", "larger micro-batch"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "deepspeed_auto.json"])
def test_an_import_of_the_export_is_the_scaled_configuration(name, target):
    base = BASES[name]
    wanted = {"more devices": Batch(base.per_device, base.accumulation, base.devices * 4),
              "more accumulation": Batch(base.per_device, base.accumulation * 4, base.devices),
              "larger micro-batch": Batch(base.per_device * 2, base.accumulation * 2, base.devices)}[target]
    _, scaled, out, again = there_and_back(text_of(name), base, wanted)
    assert samples.same(again, scaled.config)
    assert out.text != text_of(name) and out.diff.startswith("--- before\n+++ after\n@@")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_numbers_and_new_entries_changes(name):
    text, base = text_of(name), BASES[name]
    _, _, out, _ = there_and_back(text, base, doubled(base))

    def skeleton(line):
        return re.sub(r"[-+]?[\d.]+(e[-+]?\d+)?|null|~", "#", line)

    removed = [line[1:] for line in out.diff.splitlines()[2:] if line.startswith("-")]
    added = [line[1:] for line in out.diff.splitlines()[2:] if line.startswith("+")]
    left = [skeleton(line) for line in added]
    for line in removed:
        if skeleton(line) in left:
            left.remove(skeleton(line))
        else:  # a pair for null, or an argument put into a call
            assert "opt_betas" in line or "(" in line or "64 * 2048" in line, line
    for line in text.splitlines():
        if "#" in line:
            assert line[line.index("#"):] in out.text


@pytest.mark.parametrize("name", NAMES)
def test_the_same_batch_changes_nothing(name):
    text, base = text_of(name), BASES[name]
    found = read(text)
    config = found.config(answers(found, base, 1e-3))
    out = patch(text, found, scale(config, config.batch_size), base)
    if not found.double_scaling:
        assert out.text == text and out.diff == ""


def test_windows_line_ends_stay():
    for name in NAMES:
        text = text_of(name).replace("\n", "\r\n")
        _, _, out, _ = there_and_back(text, BASES[name], doubled(BASES[name]))
        assert "\n" not in out.text.replace("\r\n", ""), name
        assert out.text.replace("\r\n", "\n") == there_and_back(text_of(name), BASES[name], doubled(BASES[name]))[2].text, name


def test_the_style_of_numbers_stays():
    yaml = "per_device_train_batch_size: 8\nlearning_rate: 2e-4\nweight_decay: '1e-2'\nadam_epsilon: 0.00000001\n"
    out = exported(yaml, Batch(8, 1, 4), devices=1).text
    assert "learning_rate: 4.0e-4\n" in out  # YAML 1.1 would read 4e-4 as text
    assert "weight_decay: '2e-2'\n" in out and "adam_epsilon: 5.0e-09\n" in out
    toml = text_of("torchtitan.toml")
    assert "lr = 6e-4\n" in exported(toml, Batch(1, 1, 256), devices=64).text


def test_numbers_in_yaml_are_numbers_for_yaml_1_1():
    from ruamel.yaml import YAML

    for name in ("hf_llama_factory.yaml", "axolotl.yml", "timm_adamw.yaml", "lightning.yaml"):
        _, _, out, _ = there_and_back(text_of(name), BASES[name], doubled(BASES[name]))
        reader = YAML(typ="safe", pure=True)
        reader.version = (1, 1)
        data = reader.load(out.text)
        inner = data["optimizer"]["init_args"] if name == "lightning.yaml" else data
        for key in ("learning_rate", "lr", "adam_epsilon", "opt_eps", "eps", "weight_decay", "adam_beta1"):
            quoted = name == "axolotl.yml" and key == "learning_rate"
            assert isinstance(inner.get(key, 0.5), str if quoted else float), (name, key)


def test_json_stays_json_with_its_indentation():
    for name in (name for name in NAMES if name.endswith(".json")):
        _, _, out, _ = there_and_back(text_of(name), BASES[name], doubled(BASES[name]))
        data = json.loads(out.text)
        assert len(json.dumps(data)) > 20
    text = '{\n\t"per_device_train_batch_size": 8,\n\t"learning_rate": 1e-4,\n\t"optim": "adamw_torch"\n}'
    out = exported(text, Batch(8, 1, 4), devices=1).text
    assert '\n\t"adam_beta1": 0.6,\n' in out and json.loads(out)["max_grad_norm"] == 0.5
    inline = '{"per_device_train_batch_size": 8, "learning_rate": 1e-4, "optim": "adamw_torch"}'
    assert json.loads(exported(inline, Batch(8, 1, 4), devices=1).text) == json.loads(out)


def test_auto_stays_auto_and_says_where_its_number_goes():
    text = text_of("deepspeed_auto.json")
    found = read(text)
    scaled = scale(found.config({"lr": 1e-4, "batch_size": 64}), 256)
    out = patch(text, found, scaled, Batch(32, 1, 8))
    assert out.text.count('"auto"') == text.count('"auto"')
    notes = " ".join(out.notes)
    for said in ("lr = 0.0002", "beta1 = 0.6", "eps = 5e-09", "per_device = 32", "accumulation = 1", "8 data-parallel devices"):
        assert said in notes


def test_what_the_format_has_no_field_for_is_a_note():
    text = '{"per_device_train_batch_size": 8, "learning_rate": 1e-4, "optim": "rmsprop"}'
    out = exported(text, Batch(8, 1, 4), devices=1)
    assert any(note.startswith("alpha = 0.96 has no field in this file") for note in out.notes)
    assert any("Start it on 4 data-parallel devices" in note for note in out.notes)
    old = text_of("torchtitan.toml").replace("local_batch_size", "batch_size")
    out = exported(old, Batch(1, 4, 64), devices=64)  # which cannot accumulate
    assert "batch_size = 4\n" in out.text and any("the batch of one device becomes 4" in note for note in out.notes)
    assert any("where the data are loaded" in note for note in exported(text_of("keras.json"), Batch(256), per_device=64).notes)


def test_a_hyperparameter_without_a_number_is_refused():
    text = text_of("deepspeed.json")
    found = read(text)
    scaled = scale(found.config(), 256 * 32)
    with pytest.raises(FieldError, match=r"^beta1 = 0\.9 has no scaled value"):
        patch(text, found, scaled, Batch(8, 4, 256))


def test_a_batch_that_is_not_the_target_and_another_optimizer_are_refused():
    text = text_of("deepspeed.json")
    found = read(text)
    with pytest.raises(FieldError, match=r"^batch = 8 × 4 × 8 is 256, not the target"):
        patch(text, found, scale(found.config(), 512), Batch(8, 4, 8))
    with pytest.raises(FieldError, match=r"^optimizer = 'adam' is not the file"):
        patch(text, found, scale(found.config({"optimizer": "adam"}), 512), Batch(8, 8, 8))


def test_corrections_made_after_the_import_are_written_too():
    text = text_of("hf_training_args.json")
    found = read(text)
    config = found.config({"devices": 1, "lr": 1e-3, "beta2": 0.99})
    out = patch(text, found, scale(config, 64), Batch(16, 1, 4))
    data = json.loads(out.text)
    assert (data["learning_rate"], data["adam_beta2"]) == (2e-3, 0.96)


def test_timm_stops_scaling_by_itself():
    text = text_of("timm_rmsprop.yaml")
    out = exported(text, Batch(128, 1, 32), devices=8)
    assert "\nlr: 0.128\n" in out.text and not read(out.text).double_scaling
    assert 'opt_kwargs: {"alpha": 0.6}\n' in out.text


def test_timm_writes_into_null_and_empty_tables():
    text = text_of("timm_rmsprop.yaml").replace("opt: rmsproptf", "opt: rmsprop")
    for before in ("opt_kwargs:  # none\n",
                   "opt_kwargs:\n", "opt_kwargs: null\n", "opt_kwargs: {}\n", "opt_kwargs: {centered: false}\n"):
        out = exported(f"{before}{text}", Batch(128, 1, 32), devices=8)
        assert read(out.text).hyperparameters["alpha"] == 0.6, before


def test_both_rates_of_param_groups_move_and_equal_groups_move_together():
    out = exported(text_of("param_groups.json"), Batch(256, 1, 4), batch_size=256)
    first, second = json.loads(out.text)
    assert (first["lr"], first["initial_lr"], second["lr"], second["initial_lr"]) == (6e-4, 12e-4, 6e-4, 12e-4)
    assert first["betas"] == second["betas"] == [0.6, 0.8]
    assert (first["weight_decay"], second["weight_decay"]) == (0.2, 0.0)


def test_rates_of_a_schedule_move_along():
    data = json.loads(exported(text_of("optax.json"), Batch(512)).text)["kwargs"]["learning_rate"]
    assert data == {"init_value": 0.0, "peak_value": 0.002, "warmup_steps": 125, "decay_steps": 5000, "end_value": 2e-5}
    warm = json.loads(exported(text_of("keras.json"), Batch(64, 8), per_device=64).text)["config"]["learning_rate"]["config"]
    assert (warm["initial_learning_rate"], warm["warmup_target"], warm["warmup_steps"]) == (2e-5, 2e-3, 250)
    both = json.loads(exported(text_of("deepspeed.json"), Batch(8, 4, 32)).text)
    assert both["optimizer"]["params"]["lr"] == both["scheduler"]["params"]["warmup_max_lr"] == 3e-4


def test_axolotls_batch_size_of_one_process_is_kept_true():
    text = "base_model: x\ndatasets: []\nmicro_batch_size: 2\nbatch_size: 8\nlearning_rate: 1e-4\n"
    out = exported(text, Batch(2, 8, 2), devices=1)
    assert "\nbatch_size: 16\n" in out.text and "gradient_accumulation_steps" not in out.text
    assert read(out.text).batch.accumulation == 8


def test_an_alias_in_yaml_is_left_to_the_user():
    text = "x: &rate 0.001\ny: &decays [0.9, 0.99]\ntrainer: {devices: 1}\noptimizer:\n  class_path: torch.optim.AdamW\n" \
        "  init_args:\n    lr: *rate\n    betas: *decays\n    weight_decay: 0.1\ndata: {batch_size: 8}\n"
    out = exported(text, Batch(8, 1, 4))
    assert "lr: *rate" in out.text and "x: &rate 0.001" in out.text and "weight_decay: 0.2" in out.text
    assert any("optimizer.init_args.lr = 0.002 is a YAML alias" in note for note in out.notes)
    merged = "base: &base {lr: 0.001, eps: 1.0e-8}\ntrainer: {devices: 1}\noptimizer:\n  class_path: torch.optim.AdamW\n" \
        "  init_args:\n    <<: *base\n    lr: 0.002\ndata: {batch_size: 8}\n"
    assert read(merged).hyperparameters["lr"] == 0.002
    out = exported(merged, Batch(8, 1, 4))
    assert "lr: 0.004" in out.text and "{lr: 0.001, eps: 1.0e-8}" in out.text
    assert any("optimizer.init_args.eps" in note for note in out.notes)


def test_two_names_of_one_value_in_python_are_left_to_the_user():
    text = "import time\nbatch_size = 12\nblock_size = 1024\ngradient_accumulation_steps = 40\nlearning_rate = 6e-4\n" \
        "n_layer = 12\nmax_iters = lr_decay_iters = 8000\n"
    out = exported(text, Batch(12, 10, 8))
    assert "max_iters = lr_decay_iters = 8000" in out.text
    assert any(note.startswith("max_iters = 4000 belongs to several names") for note in out.notes)
    assert not any("YAML" in note for note in out.notes)


def test_a_variable_of_two_options_of_a_command_is_left_to_the_user():
    text = "LR=1e-3\npython train_gpt.py --lr $LR --min-lr $LR --micro-batch-size 4 --global-batch-size 64 --num-layers 2 " \
        "--hidden-size 64 --adam-beta1 0.9 --train-iters 1000\n"
    out = exported(text, Batch(4, 64, 1), devices=1)
    assert out.text.startswith("LR=1e-3\n") and "--lr $LR --min-lr $LR" in out.text
    for name in ("lr", "min_lr"):
        assert f"{name} = 0.002 is used in more than one place of the script: write it by hand." in out.notes


def test_a_python_call_takes_new_arguments_and_keeps_its_comments():
    _, _, out, _ = there_and_back(text_of("torchtitan.py"), Batch(1, 1, 64), Batch(1, 1, 256))
    assert "OptimizersContainer.Config(beta1=0.6, beta2=0.8, eps=5e-09, weight_decay=0.2, lr=6e-4),  # peak\n" in out.text
    compile(out.text, "torchtitan.py", "exec")
    positional = text_of("torchtitan_tokens.py").replace("lr=8e-4, betas=(0.9, 0.95), weight_decay=0.1", "8e-4")
    _, scaled, out, again = there_and_back(positional, Batch(16384, 2, 4), Batch(16384, 2, 8))
    assert samples.same(again, scaled.config) and "default_adamw(1.131370849898e-3, betas=[0.8, 0.9], eps=" in out.text
    compile(out.text, "torchtitan.py", "exec")


def test_a_section_that_torchtitans_file_lacks_is_made():
    text = text_of("torchtitan.toml").replace('[lr_scheduler]\nwarmup_steps = 200  # lr scheduler warm up\n', "")
    _, scaled, out, again = there_and_back(text, Batch(1, 1, 64), Batch(1, 1, 256))
    assert samples.same(again, scaled.config) and "[lr_scheduler]\nwarmup_steps = 50\n" in out.text


def test_the_diff_is_what_changed():
    before = samples.text_of("model_card_old.md")
    _, _, out, _ = there_and_back(before, Batch(1, 8, 8), Batch(1, 8, 16))
    assert "-- learning_rate: 1e-04\n" in out.diff and "+- num_devices: 16\n" in out.diff


def test_what_still_scales_by_itself_is_said_again():
    text = text_of("deepspeed.json").replace('"steps_per_print"', '"data_efficiency": {"data_sampling": {"dynamic_batching": '
                                             '{"enabled": true}}},\n  "steps_per_print"')
    out = exported(text, Batch(8, 8, 8))
    assert any(note.startswith("Still to be turned off by hand: data_efficiency") for note in out.notes)


def test_nothing_is_written_where_the_text_has_no_room_for_it():
    text = text_of("torchtitan.py").replace("        lr_scheduler=LRSchedulersContainer.Config(warmup_steps=600),\n", "")
    out = exported(text, Batch(1, 1, 256), devices=64)
    compile(out.text, "torchtitan.py", "exec")
    assert out.notes == ("Start it on 256 data-parallel devices.",
                         "lr_scheduler.warmup_steps = 50 has no place in the text: add it, or its default stays.")
    card = text_of("model_card_new.md").replace("betas=(0.9,0.999) and epsilon=1e-08 and ", "")
    out = exported(card, Batch(4, 4, 4))
    assert out.text.count("\n") == card.count("\n") + 1  # num_devices
    assert [note.partition(" = ")[0] for note in out.notes] == ["optimizer.beta1", "optimizer.beta2", "optimizer.eps"]
