export NCCL_DEBUG=INFO
export WANDB_PROJECT=clm

torchrun --nproc_per_node=8 --nnodes=2 --node_rank=$NODE_RANK --master_addr=$MASTER_ADDR run_clm.py \
  --model_name_or_path org/small --tokenizer_name org/small --train_file train.json \
  --do_train --do_eval --bf16 True \
  --per_device_train_batch_size 4 --per_device_eval_batch_size 8 --gradient_accumulation_steps 2 \
  --learning_rate 3e-4 --adam_beta2 0.95 --weight_decay 0.1 \
  --max_steps 10000 --warmup_steps 500 --save_steps 1000 --output_dir /tmp/clm
