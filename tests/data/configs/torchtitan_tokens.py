# Written after torchtitan's config registry, with batches in tokens.
def nemotron_debugmodel() -> Trainer.Config:
    return Trainer.Config(
        optimizer=default_adamw(lr=8e-4, betas=(0.9, 0.95), weight_decay=0.1),
        lr_scheduler=LRSchedulersContainer.Config(warmup_steps=20, decay_ratio=0.8, decay_type="linear"),
        training=TrainingConfig(
            num_tokens_per_microbatch_per_dp_rank=8 * 2048,
            num_tokens_per_train_step=64 * 2048,
            max_context_length=2048,
            steps=1000,
        ),
        parallelism=ParallelismConfig(data_parallel_shard_degree=4, pipeline_parallel_schedule="Interleaved1F1B"),
    )
