"""How the training child tells its supervisor what happened, also where nothing can be written any more."""

DONE = 0
FAILED = 1  # the last line of the log says why
TOLD_TO_END = 3
DISK_FULL = 4
OUT_OF_MEMORY = 5
DEVICES_TAKEN = 6  # of a supervisor that has come too early
GPU_FAULT = 7  # the last line of the log says which

REASONS = {
    DISK_FULL: "the disk was full: make room and start again",
    OUT_OF_MEMORY: "out of memory: take a smaller batch, fewer seeds or fewer arms",
}
