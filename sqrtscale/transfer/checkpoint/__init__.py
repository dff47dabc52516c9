"""Files that torch.save wrote, moved to another batch size as new files.

    reading.py         a file of anybody's -> what it holds, with nothing in it run, within limits
    contents.py        what it holds -> its optimizers, schedulers, counters and averages
    schedulers.py      which optimizer each scheduler belongs to, and its move
    notes.py           what is left to do by hand, in words
    transfer_file.py   all of it, and the new file
    summary.py         what an optimizer holds, as JSON has it
    result.py          what is told of a transfer, for processes without torch
    __main__.py        the process that does it for others: python -m sqrtscale.transfer.checkpoint

Importing this package loads no torch.
"""
