accelerate launch run_clm_no_trainer.py \
    --dataset_name wikitext --dataset_config_name wikitext-2-raw-v1 --model_name_or_path org/small \
    --per_device_train_batch_size 8 --gradient_accumulation_steps 2 \
    --learning_rate 5e-5 --weight_decay 0.1 --num_train_epochs 3 --num_warmup_steps 100 --lr_scheduler_type cosine \
    --output_dir out
