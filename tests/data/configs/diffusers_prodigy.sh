accelerate launch train_dreambooth_lora_flux.py --pretrained_model_name_or_path=org/flux --instance_data_dir=dog \
  --instance_prompt="a photo" --resolution=512 --train_batch_size=1 --gradient_accumulation_steps=4 --optimizer="prodigy" \
  --learning_rate=1. --lr_scheduler="constant" --lr_warmup_steps=0 --max_train_steps=500 --rank=16 --output_dir=out
