"""Processes that compute the parts of an experiment: threads on small arrays wait for each other most of the time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread

Pool = Callable[[int], Executor]  # how many -> what computes as much side by side


def processes(count: int) -> Executor:
    """Processes, for a program whose main module may be imported again [Python manual, multiprocessing, "Spawning"].

    They end with the process that has made them, however that ends.
    """
    return ProcessPoolExecutor(count, get_context("spawn"), _begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all: who has made them decides
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
