#!/usr/bin/env bash
# ViT-S from scratch on one node
DATA=/datasets/imagenet
./distributed_train.sh 4 --data-dir "$DATA" --model vit_small_patch16_224 --num-classes 1000 \
  --opt adamw --opt-betas 0.9 0.95 -b 256 --lr 1e-3 --weight-decay 0.05 --clip-grad 1.0 \
  --sched cosine --epochs 300 --warmup-epochs 5 --warmup-lr 1e-6 --min-lr 1e-5 \
  --model-ema --model-ema-decay 0.9998 \
  --aa rand-m9-mstd0.5-inc1 --mixup 0.8 --cutmix 1.0 --smoothing 0.1 --amp -j 8
