"""Command lines and shell scripts: what a shell would hand to the program, where it stands, and patches in its style."""

import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqrtscale.formats._document import Unread
from sqrtscale.formats._edit import edited, has_place
from sqrtscale.formats._parsing import parse
from sqrtscale.formats._syntax import syntax_of
from sqrtscale.rules import FieldError

MEGATRON = r"""#!/bin/bash
# Written after Megatron's example scripts.
export CUDA_DEVICE_MAX_CONNECTIONS=1
GPUS_PER_NODE=8
NUM_NODES=4
LR=6.0e-5   # peak
MICRO_BATCH=1
CHECKPOINT_PATH=$1 #<Specify path>

DISTRIBUTED_ARGS=(
    --nproc_per_node $GPUS_PER_NODE
    --nnodes $NUM_NODES
    --master_addr localhost
)
GPT_MODEL_ARGS=(
    --num-layers 96
    --seq-length 2048 # tokens
)
TRAINING_ARGS=(
    --micro-batch-size $MICRO_BATCH
    --global-batch-size $((MICRO_BATCH * 1536))
    --train-iters 500000
    --adam-beta1 0.9
    --adam-beta2 0.95
    --lr ${LR}
    --min-lr 6.0e-6
    --clip-grad 1.0
    --bf16
)
echo "starting with --lr $LR"
mkdir -p out --mode 755
torchrun "${DISTRIBUTED_ARGS[@]}" pretrain_gpt.py \
    "${GPT_MODEL_ARGS[@]}" \
    ${TRAINING_ARGS[@]} \
    --save "$CHECKPOINT_PATH" | tee log.txt
"""


def read(text):
    return parse(text, "command")


def data_of(text):
    """The data without what starts the program."""
    data = dict(read(text).data)
    data.pop("launcher")
    return data


def text_at(document, *path):
    return document.text[slice(*document.spans[path])]


def test_options_as_people_write_them():
    text = ('torchrun --nproc_per_node 8 --nnodes=2 train.py --learning_rate 3e-5 --opt-betas 0.9 0.95 --bf16 \\\n'
            '    --flag=value --warm-up "0.1" --name \'a b\' -b 256 -j8 --seed -1 --tf32 True --decay -1e-3 --empty ""'
            ' --x= \\\r\n'
            '  --betas "(0.9, 0.98)" --layers [1,2]')
    document = read(text)
    assert document.data.pop("launcher") == {"program": "torchrun", "nproc_per_node": 8, "nnodes": 2, "script": "train.py"}
    assert document.data == {
        "learning_rate": 3e-5, "opt_betas": [0.9, 0.95], "bf16": True, "flag": "value", "warm_up": 0.1, "name": "a b", "b": 256,
        "j": 8,
        "seed": -1, "tf32": True, "decay": -1e-3, "empty": None, "x": None, "betas": [0.9, 0.98], "layers": [1, 2]}
    assert text_at(document, "opt_betas") == "0.9 0.95" and text_at(document, "warm_up") == "0.1"
    assert document.text[document.keys["flag",]:].startswith("--flag=") and text_at(document, "betas", 1) == "0.98"


@pytest.mark.parametrize("start, launcher", [
    ("python train.py", {"program": "python", "script": "train.py"}),
    ("python3.11 -u -W ignore -m pkg.main", {"program": "python3.11", "script": "pkg.main"}),
    ("torchrun --standalone --nproc-per-node=gpu train.py", {"program": "torchrun", "standalone": True, "nproc_per_node": "gpu"}),
    ("torchrun --nnodes 2 -m pkg.main", {"program": "torchrun", "nnodes": 2, "script": "pkg.main"}),
    ("python -m torch.distributed.run --nproc_per_node 4 t.py", {"program": "torchrun", "nproc_per_node": 4, "script": "t.py"}),
    ("python -m torch.distributed.launch --nproc_per_node=4 --use_env t.py", {"program": "torchrun", "nproc_per_node": 4}),
    ("deepspeed --num_gpus 8 --num_nodes 2 --module pkg.t",
     {"program": "deepspeed", "num_gpus": 8, "num_nodes": 2, "script": "pkg.t"}),
    ("deepspeed --include localhost:0,1 t.py", {"program": "deepspeed", "include": "localhost:0,1", "script": "t.py"}),
    ("accelerate launch --multi_gpu --num_processes=8 --num_machines 1 t.py",
     {"program": "accelerate", "multi_gpu": True, "num_processes": 8, "num_machines": 1, "script": "t.py"}),
    ("mpirun -np 16 --bind-to none -x NCCL_DEBUG -mca pml ob1 python t.py", {"program": "mpirun", "np": 16, "script": "t.py"}),
    ("srun -N 2 --ntasks=16 --cpu-bind=none python -u t.py", {"program": "srun", "nodes": 2, "ntasks": 16, "script": "t.py"}),
    ("srun --ntasks 2 torchrun --nproc_per_node 8 t.py",
     {"program": "torchrun", "ntasks": 2, "nproc_per_node": 8, "script": "t.py"}),
    ("CUDA_VISIBLE_DEVICES=0,1 nohup python t.py", {"program": "python", "environment": {"CUDA_VISIBLE_DEVICES": "0,1"}}),
    ("uv run --with x python t.py", {"program": "python", "script": "t.py"}),
    ("./train.sh", {"program": None, "script": "./train.sh"}),
    ("$ python train.py config/x.py", {"program": "python", "script": "train.py", "arguments": ["config/x.py"]}),
    ("!python t.py", {"program": "python", "script": "t.py"}), ("composer -n 8 t.py", {"program": "composer", "nproc": 8}),
    ("tune run --nproc_per_node 2 full_finetune --config c",
     {"program": "torchrun", "nproc_per_node": 2, "script": "full_finetune"}),
    ("llamafactory-cli train x.yaml", {"program": None, "script": "llamafactory-cli", "arguments": ["train", "x.yaml"]}),
    ("$PYTHON t.py", {"program": None, "script": "t.py"}), ("", {"program": None})])
def test_what_starts_the_program(start, launcher):
    document = read(f"{start} --lr 0.1 --wd 0.2")
    assert launcher.items() <= document.data["launcher"].items()
    assert document.data["lr"] == 0.1 and document.data["wd"] == 0.2


def test_hydras_words_are_tables():
    text = ("python -m pkg.main --config-name base a.b.lr=1e-3 data.train_batch_size=256 +new=x ~gone optimizer=adamw "
            "'optimizer.betas=[0.9,0.95]'")
    document = read(text)
    assert data_of(text) == {"config_name": "base", "a": {"b": {"lr": 1e-3}}, "data": {"train_batch_size": 256}, "new": "x",
                             "optimizer": {"_group_": "adamw", "betas": [0.9, 0.95]}}
    after = edited(document, {("a", "b", "lr"): 2e-3, ("optimizer", "betas", 0): 0.8, ("optimizer", "eps"): 1e-7})
    assert after == text.replace("lr=1e-3", "lr=2e-3 optimizer.eps=1e-07").replace("0.9,", "0.8,")


def test_words_with_an_equals_sign_belong_to_the_option_before_them():
    assert data_of("python t.py --opt-kwargs eps=1e-6 momentum=0.9 --lr 1") == {"opt_kwargs": {"eps": 1e-6, "momentum": 0.9},
                                                                                "lr": 1}
    assert data_of("python t.py --cfg-options optim.lr=1e-4 x=2 --amp") == {"cfg_options": {"optim": {"lr": 1e-4}, "x": 2},
                                                                            "amp": True}
    assert data_of("python t.py --multirun optim.lr=1e-4 x=2") == {"multirun": True, "optim": {"lr": 1e-4}, "x": 2}
    assert data_of("t --optimizer AdamW --optimizer.lr=1 --no-prefetch") == {"optimizer": {"_group_": "AdamW", "lr": 1},
                                                                             "no_prefetch": True}


def test_the_last_of_two_options_counts():
    document = read("python t.py --lr 1e-3 \\\n  --betas 0.9 0.95 --lr 2e-3 --betas 0.8")
    assert document.data["lr"] == 2e-3 and document.data["betas"] == 0.8
    assert document.notes == ("lr stands twice (again at line 2, column 20): the last one counts.",
                              "betas stands twice (again at line 2, column 30): the last one counts.")
    assert edited(document, {("lr",): 4e-3}).endswith("--betas 0.9 0.95 --lr 4e-3 --betas 0.8") and ("betas",
                                                                                                     0) not in document.spans


# Scripts

def test_a_script_is_read_with_its_variables_and_arrays():
    document = read(MEGATRON)
    save = document.data.pop("save")
    assert document.data == {
        "launcher": {"nproc_per_node": 8, "nnodes": 4, "master_addr": "localhost", "program": "torchrun",
                     "script": "pretrain_gpt.py"},
        "num_layers": 96, "seq_length": 2048, "micro_batch_size": 1, "global_batch_size": 1536, "train_iters": 500000,
        "adam_beta1": 0.9, "adam_beta2": 0.95, "lr": 6e-5, "min_lr": 6e-6, "clip_grad": 1.0, "bf16": True}
    assert save == Unread('"$CHECKPOINT_PATH"')
    assert document.shared == {("micro_batch_size",)}  # the global batch is made of it
    assert text_at(document, "lr") == "6.0e-5" and text_at(document, "global_batch_size") == "$((MICRO_BATCH * 1536))"


def test_a_patch_changes_assignments_and_adds_options_beside_related_ones():
    after = edited(read(MEGATRON), {("lr",): 1.2e-4, ("adam_beta2",): 0.9, ("adam_eps",): 5e-9, ("global_batch_size",): 6144,
                                    ("launcher", "nnodes"): 16})
    assert after == (
        MEGATRON.replace("LR=6.0e-5 ", "LR=1.2e-4 ").replace("--lr ${LR}\n",
                                                             "--lr ${LR} --adam-eps 5e-09\n").replace("beta2 0.95", "beta2 0.9")
        .replace("$((MICRO_BATCH * 1536))", "6144").replace("NUM_NODES=4", "NUM_NODES=16"))


@pytest.mark.parametrize("script, lr", [
    ("LR=3e-5\npython t.py --lr $LR", 3e-5), ("export LR=3e-5\npython t.py --lr=\"${LR}\"", 3e-5),
    ("LR='3e-5'; python t.py --lr $LR", 3e-5),
    ("python t.py --lr $LR", None), ("LR=3e-5\nif x; then LR=1; fi\npython t.py --lr $LR", None),
    ("LR=1\nx && LR=2\npython t.py --lr $LR", None),
    ("for LR in 1 2; do\npython t.py --lr $LR\ndone", None), ("LR=1\nwhile x; do\n python t.py --lr $LR\n LR=2\ndone", None),
    ("LR=1\nread LR\npython t.py --lr $LR", None), ("LR=$(compute)\npython t.py --lr $LR", None),
    ("LR=`compute`\npython t.py --lr $LR", None),
    ("LR=$1\npython t.py --lr $LR", None), ("LR=1\nLR=2\npython t.py --lr $LR", 2),
    ("A=3\nLR=${A}e-5\npython t.py --lr $LR", 3e-5),
    ("python t.py --lr $((8 * 4 + 2**3))", 40), ("B=32\npython t.py --lr $(( $B / 5 ))", 6),
    ("python t.py --lr $((B * 2))", None),
    ("LR=${LR:-3e-5}\npython t.py --lr $LR", 3e-5), ("declare -r LR=3e-5\npython t.py --lr $LR", 3e-5),
    ("LR=3e-5 python t.py --lr $LR", None), ("cat <<EOF > x\nLR=1\nEOF\nLR=3e-5\npython t.py --lr $LR", 3e-5),
    ("LR+=1\npython t.py --lr $LR", 1),
    ("LR=(1 2)\npython t.py --lr $LR", None), ("python t.py --lr '$LR'", "$LR"), ("python t.py --lr \\$LR", "$LR"),
    ("LR=3e-5\n# LR=1\npython t.py --lr $LR # --lr 5", 3e-5), ("LR=3e-5 # peak\npython t.py --lr $LR", 3e-5)])
def test_variables_are_known_where_the_script_says_what_they_are(script, lr):
    document = read(script + " --wd 0.1") if "#" not in script else read(script)
    value = document.data["lr"]
    assert value == lr if lr is not None else isinstance(value, Unread) and ("lr",) not in document.spans
    if isinstance(lr, float):
        assert data_of(edited(document, {("lr",): 7e-5}))["lr"] == 7e-5


def test_what_the_environment_may_set_is_said():
    assert read("python t.py --lr ${LR:-3e-5}").notes == ("LR = 3e-5 unless it is set before the script starts.",)


def test_a_variable_of_several_options_is_shared():
    document = read("B=8\npython t.py --batch $B --eval-batch $B --name run_$B --lr 1")
    assert document.shared == {("batch",), ("eval_batch",)} and isinstance(document.data["name"], str)
    assert not has_place(document, ("name",)) or ("name",) not in document.spans


def test_arithmetic_that_no_option_uses_shares_nothing():
    text = "GPUS=8\nWORLD=$((GPUS * 4))\nHALF=$((WORLD / 2))\ntorchrun --nproc_per_node $GPUS t.py --lr 1"
    assert read(text).shared == set()
    assert read(f"{text} --batch $HALF").shared == {("launcher", "nproc_per_node")}


def test_options_in_a_text_are_options():
    text = 'LR=1e-4\nARGS="--lr $LR \\\n    --betas 0.9 0.95"\nMORE="$ARGS --wd 0.1"\nCMD="torchrun t.py $MORE"\n$CMD --bf16\n'
    document = read(text)
    assert data_of(text) == {"lr": 1e-4, "betas": [0.9, 0.95], "wd": 0.1, "bf16": True}
    assert document.data["launcher"] == {"program": "torchrun", "script": "t.py"}
    after = edited(document, {("betas", 1): 0.9, ("lr",): 2e-4, ("betas", 0): 0.8, ("eps",): 1e-7})
    assert data_of(after) == {"lr": 2e-4, "betas": [0.8, 0.9], "wd": 0.1, "bf16": True, "eps": 1e-7}
    assert after == text.replace("1e-4", "2e-4").replace("0.9 0.95", "0.8 0.9").replace("--lr $LR", "--lr $LR --eps 1e-07")


def test_options_that_only_running_gives_are_said():
    document = read('python t.py --bf16 $EXTRA_ARGS --lr 1 "$@" --fp8 ${ARGS_LIST[@]}')
    assert [note.split(" is ")[0] for note in document.notes] == ["$EXTRA_ARGS", '"$@"', "${ARGS_LIST[@]}"]
    assert document.data["bf16"] is True and document.data["fp8"] is True


def test_the_command_that_trains_is_read():
    text = "pip install --upgrade x\npython p.py --out y\npython train.py --lr 1 --wd 2 --steps 3 && python eval.py --ckpt z\n"
    assert data_of(text) == {"lr": 1, "wd": 2, "steps": 3}


def test_two_commands_that_differ_are_named_by_their_lines():
    with pytest.raises(FieldError,
                       match="two commands that could be meant, at line 2, column 1 and at line 3, column 3: paste the one"):
        read("\npython t.py --lr 1 --wd 2\n  python t.py --lr 1 --wd 3\n")
    with pytest.raises(FieldError, match="two commands that could be meant"):
        read("python t.py --stage 1 --lr 1\npython t.py --stage 2 --wd 1 --lr 1\n")


def test_commands_that_agree_are_read_and_changed_where_one_change_is_enough():
    document = read("if x; then\n  python t.py --lr 1\nelse\n  torchrun t.py --lr 1\nfi\n")
    assert document.data["lr"] == 1 and "how it is started is read at line 2, column 3" in document.notes[0]
    assert document.shared == {("lr",)} and not has_place(document, ("wd",))
    text = "ARGS='--lr 1 --x 2'\nif x; then\n  python t.py $ARGS\nelse\n  torchrun t.py $ARGS\nfi\n"
    assert read(text).shared == set()
    assert edited(read(text), {("lr",): 2, ("wd",): 3}) == text.replace("--lr 1", "--lr 2 --wd 3")


def test_a_line_that_starts_with_an_option_belongs_to_the_command_before_it():
    document = read("python t.py --lr 1\n  --wd 2\n--steps 3\n")
    assert document.data["wd"] == 2 and document.data["steps"] == 3
    assert document.notes[0] == "The line before line 2, column 3 does not end in a backslash: read as if it did."


@pytest.mark.parametrize("text, said", [
    ("python train.py", "is no command with options"), ("echo --lr 5", "is no command with options"),
    ("python -c 'x' --lr 5", "no command"),
    ("python t.py --lr 'x", "' at line 1, column 18 is not closed"),
    ('python t.py --lr "x', '" at line 1, column 18 is not closed'),
    ("A=(--lr 1", "( at line 1"), ("python --lr $(x", "is not closed"), ("python --lr `x", "is not closed"),
    ("x --lr ${a", "is not closed"),
    ("python t.py --lr 1e999", "lr = inf is not a finite number"), ("python t.py --lr .nan", "is not a finite number"),
    ("python t.py --" + "a." * 60 + "b 1", "nested more than 50 deep")])
def test_what_is_no_command_is_refused(text, said):
    with pytest.raises(FieldError) as error:
        read(text)
    assert said in str(error.value)


# Style

@pytest.mark.parametrize("text, after", [
    ("python t.py --lr-max 1 --batch-size 8", "python t.py --lr-max 1 --batch-size 8 --adam-beta2 0.5"),
    ("python t.py --lr_max 1 --batch_size 8", "python t.py --lr_max 1 --batch_size 8 --adam_beta2 0.5"),
    ("python t.py --lr=1 --batch_size=8", "python t.py --lr=1 --batch_size=8 --adam_beta2=0.5"),
    ("python t.py lr=1", "python t.py lr=1 adam_beta2=0.5"),
    ("python t.py --bf16 \\\n --x 1 \\\n", "python t.py --bf16 \\\n --x 1 --adam_beta2 0.5 \\\n"),
    ("python t.py --x 'a b'  # c\n", "python t.py --x 'a b' --adam_beta2 0.5  # c\n"),
    ('A="--x 1"\r\nt $A\r\n', 'A="--x 1"\r\nt $A --adam_beta2 0.5\r\n'),
    ('A="--x 1 --y 2"\r\nt $A\r\n', 'A="--x 1 --y 2 --adam_beta2 0.5"\r\nt $A\r\n')])
def test_a_new_option_has_the_style_of_the_command(text, after):
    document = read(text)
    if after.startswith('A="--x 1"'):
        after = 'A="--x 1 --adam_beta2 0.5"\r\nt $A\r\n'
    assert has_place(document, ("adam_beta2",)) and not has_place(document, ("launcher", "nnodes"))
    assert edited(document, {("adam_beta2",): 0.5}) == after


def test_lists_are_written_as_words():
    assert edited(read("t --lr 1"), {("betas",): [0.8, 0.9]}) == "t --lr 1 --betas 0.8 0.9"
    assert edited(read("t --betas 0.9 0.95 --lr 1"), {("betas",): [0.8, 0.9]}) == "t --betas 0.8 0.9 --lr 1"
    assert edited(read("t --lr=1 --wd=1"), {("betas",): [0.8, 0.9]}) == "t --lr=1 --wd=1 --betas='[0.8,0.9]'"


@pytest.mark.parametrize("text", [
    "$ python train.py --lr 1", "#!/bin/bash\nLR=1\n", "#!/usr/bin/env bash\n", "python train.py --lr 1", "torchrun t.py lr=1",
    "LR=3e-5\nBS=8\n\npython t.py --lr $LR\n", "  --lr 1 --wd 2", "ARGS=(\n  --lr 1\n)\nrun ${ARGS[@]}",
    "# how\n# to\nCUDA_VISIBLE_DEVICES=0 python t.py lr=1",
    "swift sft --model x", "export A=1\nllamafactory-cli train \\\n    --stage sft"])
def test_a_command_is_recognised(text):
    assert syntax_of(text) == "command"


@pytest.mark.parametrize("text, syntax", [
    ("# python t.py --lr 1\nlr: 1\n", "yaml"), ("run: |\n  python t.py --lr 1\n", "yaml"), ("args: --lr 1\nx: 2\n", "yaml"),
    ("---\na: --x\n", "yaml"),
    ("- --lr\n- 1\n", "yaml"), ('{"args": "--lr 1"}', "json"), ("[a]\nx = '--lr 1'\n", "toml"), ("x = '--lr 1'\n", "toml"),
    ("lr = 1e-3\n", "toml"),
    ("# c\nwandb_log = True\nlr = 1e-3\n", "python"), ("lr = 1e-3\nsteps = 5 * 8\n", "python"),
    ("import os\nx='--lr 1'\n", "python"),
    ("a = -1\nbetas = (0.9, 0.95)\n", "python"), ("d = 2020-01-01\ns = \"5 * 8\"\nf = 1e-3 # 5 * 8\n", "toml"),
    ("class H:\n  lr = 1\n", "python"),
    ("lr: float = 1\nimport x\n", "python"), ("- learning_rate: 1\n", "card")])
def test_other_syntaxes_are_not_taken_for_commands(text, syntax):
    assert syntax_of(text) == syntax


# Agreement with the standard library's shlex

VALUES = st.sampled_from(["1", "3e-5", "0.1", "abc", "a b", "", "it's", 'x"y', "$x", "a\\b", "a#b", "*", "a;b", "ü", "True",
                          "-1", "~"])
NAMES = st.sampled_from(["lr", "weight-decay", "adam_beta2", "model.depth", "optim.x-y", "b"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.lists(VALUES, max_size=3), min_size=1), st.randoms(use_true_random=False))
def test_words_are_those_of_shlex(options, random):
    def quoted(word):
        in_double_quotes = '"' + "".join("\\" + c if c in '"\\' else c for c in word) + '"'
        return random.choice([shlex.quote(word), shlex.quote(word) if "$" in word else in_double_quotes])

    words = ["python", "train.py"]
    for name, values in options.items():
        words.append(f"--{name}")
        words += [quoted(value) for value in values]
    text = "".join(word + random.choice([" ", "  ", " \\\n  ", "\t"]) for word in words)
    given_words = shlex.split(text.replace("\\\n", ""))
    assert given_words[2:] == [word for name, values in options.items() for word in (f"--{name}", *values)]
    document = read(text)
    for name, values in options.items():
        path = tuple(name.replace("-", "_").split("."))
        for i, value in enumerate(values):
            if value in ("abc", "a b", "it's", 'x"y', "$x", "a\\b", "a#b", "*", "a;b", "ü"):
                assert document.get(path if len(values) == 1 else (*path, i)) == value
        if not values:
            assert document.get(path) is True


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["python ", "t.py ", "--lr ", "--lr=", "1e-3 ", "$A", "${A}", "${A[@]} ", "A=", "A+=", "(", ")",
                                 "'", '"', "\\", "\n",
                                 " ", "$((", "))", "$(", "`", "#", ";", "&&", "|", ">", "<<E\n", "E\n", "if ", "fi ", "do ",
                                 "x=1 ", "a.b=2 ", "ü",
                                 "-b 3 ", "$@ ", "eval ", "env ", "srun ", "-m "]), max_size=25).map("".join))
@example(">A=(")  # an array that never ends, behind a redirection
def test_any_shell_text_is_read_or_refused_and_patched_where_it_stands(text):
    try:
        document = read(text)
    except FieldError as error:
        assert "\n" not in str(error)
        return
    for path in [path for path in document.ends if path not in document.shared and path in document.spans]:
        if isinstance(document.get(path), (int, float)) and not isinstance(document.get(path), bool):
            again = read(edited(document, {path: 77}))
            assert again.get(path) == 77
            assert {key: value for key, value in again.data.items() if key != path[0]} == {
                key: value for key, value in document.data.items() if key != path[0]} or "=" in text
