# a 124M model on 8 GPUs: torchrun --standalone --nproc_per_node=8 train.py config/this_file.py
import time

wandb_log = True
wandb_project = 'owt'
wandb_run_name = 'gpt2-124M-' + str(time.time())

# 12 sequences * 1024 tokens * 5 passes * 8 GPUs = 491,520 tokens
batch_size = 12
block_size = 1024
gradient_accumulation_steps = 5 * 8

n_layer = 12
n_head = 12
n_embd = 768
dropout = 0.0
bias = False

learning_rate = 6e-4
max_iters = 600000
lr_decay_iters = 600000
warmup_iters = 2000
min_lr = 6e-5
weight_decay = 1e-1
beta2 = 0.95

eval_interval = 1000
eval_iters = 200
log_interval = 10
compile = True
