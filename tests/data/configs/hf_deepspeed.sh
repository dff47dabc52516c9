deepspeed --num_gpus 4 finetune.py --deepspeed ds_config.json --model_name_or_path org/base \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 4 --learning_rate 1e-5 --optim paged_adamw_8bit \
    --adam_beta1 0.9 --adam_beta2 0.95 --adam_epsilon 1e-8 --weight_decay 0.1 --max_grad_norm 0.3 --output_dir o
