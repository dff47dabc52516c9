# Segmentation, counted in iterations; four passes are accumulated
_base_ = ['../_base_/models/upernet_swin.py', '../_base_/datasets/ade20k.py', '../_base_/default_runtime.py']
crop_size = (512, 512)
model = dict(
    backbone=dict(embed_dims=96, use_abs_pos_embed=False),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=150))

optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    accumulative_counts=4,
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.)}))

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        eta_min=6e-7,
        power=1.0,
        begin=1500,
        end=160000,
        by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
train_dataloader = dict(batch_size=2, num_workers=4)
val_dataloader = dict(batch_size=1)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=16000))
custom_hooks = [dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.0002, begin_iter=1500)]
auto_scale_lr = dict(enable=True, base_batch_size=16)
