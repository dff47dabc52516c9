#!/bin/bash
#SBATCH --nodes=1
#SBATCH --gres=gpu:8
export PYTHONPATH="$PYTHONPATH:src"
BATCH=512

torchrun --nproc_per_node 8 -m open_clip_train.main \
    --save-frequency 1 \
    --zeroshot-frequency 1 \
    --dataset-type webdataset \
    --train-data '/data/shards/{00000..01243}.tar' \
    --train-num-samples 10968539 \
    --imagenet-val /data/imagenet/val \
    --model ViT-B-32 \
    --batch-size $BATCH \
    --accum-freq 2 \
    --lr 5e-4 \
    --wd 0.2 \
    --warmup 2000 \
    --epochs 32 \
    --grad-clip-norm 1.0 \
    --precision amp_bf16 \
    --workers 8 \
    --local-loss --gather-with-grad \
    --log-every-n-steps 100 \
    --report-to tensorboard
