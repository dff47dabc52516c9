"""The devices that a command is started on, and files of settings that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.formats import patch, read
from sqrtscale.rules import scale
from sqrtscale.rules.batch import Batch

OPTIONS = "--per_device_train_batch_size 2 --gradient_accumulation_steps 4 --learning_rate 1e-5 --output_dir o"


@pytest.mark.parametrize(("start", "devices"), [
    ("torchrun --nproc_per_node=8 train.py", 8),
    ("torchrun --nproc_per_node 8 --nnodes 2 --node_rank $RANK train.py", 16),
    ("torchrun train.py", 1),
    ("torchrun --nproc_per_node=gpu train.py", None),
    ("torchrun --nproc_per_node=$GPUS train.py", None),
    ("torchrun --nproc_per_node=8 --nnodes=1:4 train.py", None),
    ("python -m torch.distributed.launch --nproc_per_node 4 train.py", 4),
    ("accelerate launch --num_processes 16 --num_machines 2 train.py", 16),
    ("accelerate launch train.py", None),
    ("deepspeed --num_gpus 4 --num_nodes 2 train.py", 8),
    ("deepspeed --include localhost:0,2,3 train.py", 3),
    ("deepspeed train.py", None),
    ("mpirun -np 6 python train.py", 6),
    ("NPROC_PER_NODE=4 NNODES=2 swift-cli train", 8),
    ("CUDA_VISIBLE_DEVICES=3 python train.py", 1),
    ("CUDA_VISIBLE_DEVICES=0,1 python train.py", None),
    ("python train.py", None),
])
def test_the_launcher_says_how_many_devices_there_are(start, devices):
    imported = read(f"{start} {OPTIONS}", "run.sh", "hf")
    assert imported.batch.devices == devices
    assert [question.field for question in imported.questions] == ([] if devices else ["devices"])


def test_devices_that_share_a_model_count_as_one():
    options = f"{OPTIONS} --tensor_parallel_size 2"
    imported = read(f"torchrun --nproc_per_node=8 train.py {options}", "run.sh", "hf")
    assert (imported.batch.devices, imported.config().batch_size) == (4, 32)


@pytest.mark.parametrize("words", ["--config recipe.yaml", "recipe.yaml", "conf/recipe.json"])
def test_what_a_named_file_may_set_is_asked_for(words):
    imported = read(f"torchrun --nproc_per_node=8 train.py {words} {OPTIONS}", "run.sh", "hf")
    assert {question.field for question in imported.questions} == {"optimizer", "beta1", "beta2", "eps", "weight_decay"}
    assert any("recipe" in note and "not read" in note for note in imported.notes)


COUNT = st.integers(1, 12)


@given(COUNT, COUNT, COUNT, COUNT)
def test_passes_of_all_devices_come_back(per_device, accumulation, devices, times):
    text = (f"torchrun --nproc_per_node={devices} train.py --block_size=64 --eval_iters=9 --n_layer=2 --n_head=2 "
            f"--batch_size={per_device} --gradient_accumulation_steps={accumulation * devices} --decay_lr=False "
            "--learning_rate=1e-3")
    imported = read(text, "run.sh")
    base = imported.config()
    assert base.batch_size == per_device * accumulation * devices
    batch = Batch(per_device, accumulation * times, devices)
    again = read(patch(text, imported, scale(base, batch.size, "half-life"), batch).text, "run.sh")
    assert (again.config().batch_size, again.batch.batch) == (batch.size, batch)
