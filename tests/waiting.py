"""Waiting for what other processes do."""

import threading
import time

import pytest


def until(condition, seconds=60, what="the condition"):
    """Wait for ``condition()`` to be true; returns its value. Fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {seconds} s")
        pause.wait(0.05)
