CUDA_VISIBLE_DEVICES=0 llamafactory-cli train --stage sft --do_train True --model_name_or_path org/base \
  --finetuning_type full --per_device_train_batch_size 2 --gradient_accumulation_steps 8 --lr_scheduler_type cosine \
  --learning_rate 5e-05 --use_galore True --galore_rank 128 --output_dir saves
