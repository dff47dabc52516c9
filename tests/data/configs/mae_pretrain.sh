#!/bin/bash
#SBATCH --gpus-per-node=8
export OMP_NUM_THREADS=8
torchrun --nproc_per_node=8 main_pretrain.py \
    --batch_size 64 --accum_iter 8 \
    --model mae_vit_base_patch16 \
    --norm_pix_loss --mask_ratio 0.75 \
    --epochs 800 --warmup_epochs 40 \
    --blr 1.5e-4 --weight_decay 0.05 \
    --data_path /data/images --output_dir /data/runs/mae
