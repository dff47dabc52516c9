#!/bin/bash
# after Megatron-LM's examples/gpt3: lengths in samples
export CUDA_DEVICE_MAX_CONNECTIONS=1
GPUS_PER_NODE=8
NUM_NODES=2

GPT_MODEL_ARGS=(
    --num-layers 24
    --hidden-size 2048
    --num-attention-heads 16
    --seq-length 2048
    --max-position-embeddings 2048
)
TRAINING_ARGS=(
    --micro-batch-size 2
    --global-batch-size 64
    --train-samples 5000000
    --lr-decay-samples 4750000
    --lr-warmup-samples 50000
    --lr 2.0e-4
    --min-lr 2.0e-5
    --lr-decay-style cosine
    --adam-beta2 0.95
    --adam-eps 1e-8
    --weight-decay 0.1
    --clip-grad 1.0
    --bf16
)
MODEL_PARALLEL_ARGS=(
    --tensor-model-parallel-size 2
    --pipeline-model-parallel-size 1
)
LOGGING_ARGS=(
    --log-interval 20
    --save-interval 1000
    --eval-interval 200
    --eval-iters 10
)

torchrun --nproc_per_node $GPUS_PER_NODE --nnodes $NUM_NODES pretrain_gpt.py \
    ${GPT_MODEL_ARGS[@]} \
    ${TRAINING_ARGS[@]} \
    ${MODEL_PARALLEL_ARGS[@]} \
    ${LOGGING_ARGS[@]} \
    --data-path data/text_document --split 949,50,1 --distributed-backend nccl
