set -x
nproc_per_node=8
torchrun --standalone --nnodes=1 --nproc_per_node=$nproc_per_node \
     -m verl.trainer.fsdp_sft_trainer \
    data.train_files=$HOME/data/train.parquet \
    data.val_files=$HOME/data/test.parquet \
    data.prompt_key=extra_info \
    optim.lr=1e-4 \
    data.micro_batch_size_per_gpu=4 \
    model.partial_pretrain=some/base-model \
    trainer.default_local_dir=checkpoints \
    trainer.project_name=sft \
    trainer.total_epochs=3
