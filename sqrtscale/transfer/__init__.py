"""Optimizers, schedulers and checkpoints moved to another batch size, in the middle of a training that somebody else runs.

Needs torch and ``rules``, and knows nothing of ``training``, which knows nothing of it. What belongs where:

    optimizer.py         the public functions: a torch.optim optimizer moved in place, or what its state_dict() returned
    optimizer_move.py    the equations: how hyperparameters and state of an optimizer move
    optimizer_state.py   what a saved optimizer must look like, and which family wrote it
    other_libraries.py   states of bitsandbytes, Apex and DeepSpeed under torch's names and back
    scheduler_state.py   torch's learning rate schedulers: what each keeps, and its formula
    scheduler_move.py    the equations: how their states move
    checkpoint/          whole files, in a process of their own

Importing this package, or ``checkpoint.result``, loads no torch.
"""
