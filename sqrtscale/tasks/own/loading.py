"""Samples of data with ``__getitem__``, each with chance of its own: read by this process, or by workers of it.

Without workers a batch is read when it is asked for, never in a thread beside the training: the chance of samples comes from the
generators of torch, NumPy and Python, of which a process has one each, and training draws from the same ones.
"""

from __future__ import annotations

import pickle
import random
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ...rules import FieldError
from .errors import OwnTaskError, users_code

Ticket = tuple[int, int]  # the place of a sample and the seed of its chance


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the generators of torch's CPU, NumPy and Python start from a seed; they are given back as they were."""
    others = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            yield
    finally:
        random.setstate(others[0])
        np.random.set_state(others[1])


def seed_all(seed: int) -> None:
    """Start the generators of torch's CPU, NumPy and Python."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


class Samples(Dataset[bytes]):
    """The user's data as a worker reads them: some samples at once, as bytes, so that nothing of them is shared memory."""

    def __init__(self, dataset: Any, path: str):
        self.dataset, self.path = dataset, path

    def read(self, tickets: Sequence[Ticket]) -> list[Any]:
        """The samples, each the same in whichever batch. Raises OwnTaskError."""
        samples = []
        with users_code(self.path):
            for place, seed in tickets:
                seed_all(seed)
                samples.append(self.dataset[place])
        return samples

    def __getitems__(self, tickets: Sequence[Ticket]) -> bytes:
        try:
            return pickle.dumps(self.read(tickets))
        except OwnTaskError as error:
            return pickle.dumps((str(error), error.log))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            return pickle.dumps((f"a sample cannot be sent from a worker ({error}): give tensors, arrays, numbers or text, or "
                                 "remove WORKERS", ""))


class Loader:
    """Reads samples; with workers, those of one call are shared out among so many processes, which stay for the next one."""

    def __init__(self, dataset: Any, path: str, workers: int):
        self.samples, self.workers = Samples(dataset, path), workers
        self._shares: list[list[Ticket]] = []
        self._turn = threading.Lock()

    @cached_property
    def _processes(self) -> DataLoader[bytes]:
        return DataLoader(self.samples, batch_sampler=self._shares, num_workers=self.workers, prefetch_factor=1,
                          multiprocessing_context="fork", persistent_workers=True, collate_fn=lambda payload: payload,
                          generator=torch.Generator())

    def read(self, tickets: Sequence[Ticket]) -> list[Any]:
        """The samples in their order. Raises OwnTaskError, FieldError where a worker has died."""
        return Reading(self, tickets).samples() if self.workers else self.samples.read(tickets)

    def from_workers(self, tickets: Sequence[Ticket]) -> list[Any]:
        """The same by the workers, one batch after another. For a thread beside the main one: there torch would raise the death
        of a worker wherever training happens to be.
        """
        with self._turn:
            return self._from_workers(tickets)

    def _from_workers(self, tickets: Sequence[Ticket]) -> list[Any]:
        size = -(-len(tickets) // self.workers)
        self._shares[:] = [list(tickets[i : i + size]) for i in range(0, len(tickets), size)]
        samples: list[Any] = []
        try:
            payloads = list(self._processes)
        except RuntimeError as error:
            reason = str(error).splitlines()[0].rstrip(". ")
            raise FieldError("WORKERS", self.workers, f"do not work: {reason}. Give fewer, or remove it") from error
        for payload in payloads:
            answer = pickle.loads(payload)
            if isinstance(answer, tuple):
                raise OwnTaskError(*answer)
            samples += answer
        return samples


class Reading(threading.Thread):
    """A batch that workers read from now on; the thread ends with it."""

    def __init__(self, loader: Loader, tickets: Sequence[Ticket]):
        super().__init__(name="batch of samples")
        self.loader, self.tickets = loader, tickets
        self._samples: list[Any] = []
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._samples = self.loader.from_workers(self.tickets)
        except Exception as error:  # it belongs to the step that asks for these samples
            self._error = error

    def samples(self) -> list[Any]:
        """The samples, once they are there. Raises what reading them raised."""
        self.join()
        error, self._error = self._error, None  # whose traceback knows this thread: a circle would keep the workers
        try:
            if error is not None:
                raise error
            return self._samples
        finally:
            del error


class Ahead:
    """The batches that one population is going to ask for: where there are workers, they read the next one while it trains."""

    def __init__(self, loader: Loader):
        self.loader = loader
        self._expected: deque[Sequence[Ticket]] = deque()
        self._begun: Reading | None = None

    def expect(self, batches: Iterable[Sequence[Ticket]]) -> None:
        """These come next, in this order; any of them may be left out, and others may be asked for in between."""
        self._expected = deque(batches)

    def read(self, tickets: Sequence[Ticket]) -> list[Any]:
        """The samples in their order, as ``Loader.read`` gives them, while the workers begin with the batch after them."""
        if not self.loader.workers:
            return self.loader.read(tickets)
        if self._begun and self._begun.tickets == tickets:
            reading, self._begun = self._begun, None  # whose samples are large
        else:
            reading = Reading(self.loader, tickets)
        if tickets in self._expected:
            while self._expected.popleft() != tickets:
                pass
        following = self._expected[0] if self._expected else None
        if following and (self._begun is None or self._begun.tickets != following):
            self._begun = Reading(self.loader, following)
        return reading.samples()
