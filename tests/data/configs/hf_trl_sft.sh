#!/bin/bash
# supervised fine-tuning with TRL on eight GPUs
accelerate launch --config_file configs/zero3.yaml --num_processes 8 trl/scripts/sft.py \
    --model_name_or_path org/base-7b \
    --dataset_name org/chat \
    --learning_rate 2.0e-5 \
    --num_train_epochs 1 \
    --packing \
    --per_device_train_batch_size 2 \
    --gradient_accumulation_steps 8 \
    --gradient_checkpointing \
    --warmup_ratio 0.1 --lr_scheduler_type cosine \
    --eval_strategy steps --eval_steps 100 \
    --logging_steps=10 \
    --output_dir out --report_to wandb
