#!/bin/bash
# LoRA on two devices
REPO=microsoft/phi-2
litgpt finetune_lora checkpoints/$REPO \
  --data JSON --data.json_path /data/mine.json --data.val_split_fraction 0.1 \
  --devices 2 --precision bf16-mixed \
  --lora_r 16 \
  --train.global_batch_size 32 --train.micro_batch_size 2 \
  --train.epochs 3 --train.lr_warmup_steps 40 \
  --eval.interval 200 \
  --optimizer AdamW --optimizer.lr 0.0002 --optimizer.weight_decay 0.0
