# MMDetection before mmengine
model = dict(type='DETR', backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN', requires_grad=False)))
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=2,
    train=dict(type='CocoDataset', ann_file='annotations/instances_train2017.json'))
optimizer = dict(
    type='AdamW',
    lr=0.0001,
    weight_decay=0.0001,
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)}))
optimizer_config = dict(grad_clip=dict(max_norm=0.1, norm_type=2))
lr_config = dict(policy='step', step=[100], warmup='linear', warmup_iters=500, warmup_ratio=0.001)
runner = dict(type='EpochBasedRunner', max_epochs=150)
checkpoint_config = dict(interval=1)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
