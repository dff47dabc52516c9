# full fine-tuning on four of eight GPUs
PYTORCH_CUDA_ALLOC_CONF='expandable_segments:True' \
NPROC_PER_NODE=4 \
CUDA_VISIBLE_DEVICES=0,1,2,3 \
megatron sft \
    --load models/base-mcore \
    --dataset 'my/instructions#20000' \
    --tensor_model_parallel_size 2 \
    --micro_batch_size 2 \
    --global_batch_size 32 \
    --max_epochs 1 \
    --finetune true \
    --lr 2e-5 \
    --min_lr 2e-6 \
    --lr_warmup_iters 40 \
    --train_iters 800 \
    --adam_beta2 0.98 \
    --weight_decay 0 \
    --eval_interval 100 \
    --save_interval 200 \
    --save outputs/base-sft \
    --no_save_optim true
