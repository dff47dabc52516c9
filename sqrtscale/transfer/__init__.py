"""Optimizers, schedulers and checkpoints moved to another batch size, in the middle of a training that somebody else runs."""
