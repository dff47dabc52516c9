#!/bin/bash
# character-level model, continued on four GPUs
set -e
export OMP_NUM_THREADS=8
OUT=out-char

torchrun --standalone --nproc_per_node=4 train.py \
  --out_dir=$OUT \
  --dataset=shakespeare_char \
  --eval_interval=250 --eval_iters=200 --log_interval=40 \
  --n_layer=6 --n_head=6 --n_embd=384 --block_size=256 --dropout=0.2 \
  --batch_size=16 \
  --gradient_accumulation_steps=4 \
  --learning_rate=1e-3 --max_iters=5000 --decay_lr=False \
  --beta1=0.9 --beta2=0.98 --grad_clip=0.0 \
  --compile=True
