default_scope = 'mmagic'
model = dict(type='DCGAN', noise_size=100)
train_cfg = dict(by_epoch=False, max_iters=200000)
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.0004, betas=(0.5, 0.999))),
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.0001, betas=(0.5, 0.999))))
