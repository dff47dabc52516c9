"""A pretended CUDA device for a torch without CUDA: real numbers, and what a real device refuses is refused.

A tensor "on" cuda:i is a tensor of the CPU to C++, so that autograd asks for no driver, and one of cuda:i to Python.

- An operation on tensors of two devices fails. A tensor without dimensions from the CPU is taken by value, as a kernel takes it.
- What waits for the device is counted, and fails while a graph is captured; so does a copy from or to the host.
- A device that is ``broken`` says so at every operation from then on, as one does whose context is lost.
- While a graph is captured nothing is computed: what an operation would have written is as before afterwards, and what it
  made holds no numbers. A replay makes the operations again, on the same places, with the Python numbers of the capture and
  without any Python of the step. Random numbers are new ones in every replay.

Not pretended: CUDA's own kernels and their rounding, streams that run at the same time, the allocator, speed.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

WAITING = {"_local_scalar_dense", "item", "nonzero", "masked_select", "_unique2", "unique_dim", "is_nonzero", "equal",
           "embedding_dense_backward", "repeat_interleave"}
BY_INDEX = {"index", "index_put", "index_put_", "_index_put_impl_"}
COPYING = {"_to_copy", "copy_", "to"}


@dataclass
class Launch:
    """An operation in a captured graph: read and written are bytes of its tensors."""

    operation: torch._ops.OpOverload
    args: tuple
    kwargs: dict
    result: object
    read: int
    written: int

    @property
    def name(self) -> str:
        return self.operation.overloadpacket.__name__

    def again(self) -> None:
        """Make it once more, into the tensors of the first time."""
        new = self.operation(*self.args, **self.kwargs)
        for old, other in zip(_tensors(self.result), _tensors(new), strict=True):
            if old.numel() and old.data_ptr() != other.data_ptr():
                old.copy_(other)


@dataclass
class Gpu:
    """What the pretended devices have done."""

    memory: int
    waits: Counter = field(default_factory=Counter)
    copies: Counter = field(default_factory=Counter)  # from the host
    launches: list[Launch] = field(default_factory=list)  # while ``watching`` or capturing
    watching: bool = False
    capturing: bool = False
    made: list[torch.Tensor] = field(default_factory=list)  # by a capture
    before: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)  # storage -> (all of it, copy)
    graphs: list[list[Launch]] = field(default_factory=list)  # that were captured
    replays: int = 0
    on_replay: Callable[[Gpu], object] = lambda gpu: None  # to plant a fault
    pinned: set[int] = field(default_factory=set)
    broken: str = ""  # what every operation says, once a fault has happened

    def check(self) -> None:
        """Raise the fault that has happened."""
        if self.broken:
            raise torch.AcceleratorError(self.broken)

    def wait(self, what: str) -> None:
        """Count that the host waits for a device; no graph may hold that."""
        self.waits[what] += 1
        if self.capturing:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what})")

    def note(self, operation, args, kwargs, result, hosts) -> None:
        """Keep an operation that has run; tensors of the CPU (``hosts``) by value, as they are now."""
        args, kwargs = _map(lambda x: x.clone() if id(x) in hosts else x, (args, kwargs))
        read = {x.data_ptr(): x.numel() * x.element_size() for x in _tensors((args, kwargs))}
        self.launches.append(Launch(operation, args, kwargs, result, sum(read.values()),
                                    sum(x.numel() * x.element_size() for x in _tensors(result))))

    def keep_what_is_written(self, operation, args, kwargs) -> None:
        """Before an operation of a capture: copies of the storages that it changes."""
        written = [argument for argument in operation._schema.arguments if argument.alias_info and argument.alias_info.is_write]
        for i, argument in enumerate(operation._schema.arguments):
            if argument in written:
                for x in _tensors(args[i] if i < len(args) else kwargs.get(argument.name)):
                    whole = torch.empty(0, dtype=torch.uint8).set_(x.untyped_storage())
                    self.before.setdefault(whole.data_ptr(), (whole, whole.clone()))

    def forget_what_was_computed(self) -> None:
        """After a capture, which computes nothing."""
        for x in self.made:
            x.fill_(math.nan if x.is_floating_point() else 0)
        for whole, copy in self.before.values():
            whole.copy_(copy)
        self.made, self.before = [], {}


_gpu = Gpu(0)


def _tensors(tree) -> list[torch.Tensor]:
    """What torch hands to an operation: tensors and others, in tuples, lists and dicts. Quicker than torch's own way."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, tuple | list):
        return []
    return [x for branch in tree for x in _tensors(branch)]


def _map(change, tree):
    """The same with every tensor changed."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, tuple | list):
        return type(tree)(_map(change, branch) for branch in tree)
    return {key: _map(change, branch) for key, branch in tree.items()} if isinstance(tree, dict) else tree


class OnGpu(torch.Tensor):
    """A tensor on a pretended device."""

    @staticmethod
    def __new__(cls, held, index):
        return torch.Tensor._make_wrapper_subclass(cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
                                                   dtype=held.dtype, device=torch.device("cpu"), requires_grad=False)

    def __init__(self, held, index):
        self.held, self.index = held, index

    device = property(lambda self: torch.device("cuda", self.index))
    is_cuda = property(lambda self: True)

    def __repr__(self, **options):
        return f"{self.held!r} on cuda:{self.index}"

    def untyped_storage(self):
        return self.held.untyped_storage()

    def data_ptr(self):
        return self.held.data_ptr()

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory")

    def cpu(self):
        return _ToHost.apply(self)

    def __reduce_ex__(self, protocol):
        return self.cpu().__reduce_ex__(protocol)  # as who loads it with map_location="cpu" gets it

    def new_tensor(self, data, **options):
        return torch.tensor(data, **({"dtype": self.dtype, "device": self.device} | options))

    def to(self, *args, **kwargs):
        where = next((torch.device(x) for x in (*args, *kwargs.values()) if isinstance(x, torch.device | str)), None)
        if where is None:
            return super().to(*args, **kwargs)
        if where.type == "cpu":
            return _ToHost.apply(self)
        return self if (where.index or 0) == self.index else _ToDevice.apply(self, where.index or 0)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class _ToHost(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        _gpu.wait("copy to the host")
        return x.held.clone()


class _ToDevice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, index):
        _gpu.wait("copy to another device")
        return OnGpu(x.held.clone(), index)


def _run(operation, args, kwargs):
    """One operation of torch, on whatever device."""
    name = operation.overloadpacket.__name__
    tensors = _tensors((args, kwargs))
    ours = [x for x in tensors if isinstance(x, OnGpu)]
    if name in ("pin_memory", "_pin_memory"):
        pinned = args[0].clone()
        _gpu.pinned.add(pinned.untyped_storage().data_ptr())
        return pinned
    if name == "is_pinned":
        return args[0].untyped_storage().data_ptr() in _gpu.pinned
    asked = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    if not ours and (asked is None or asked.type != "cuda"):
        return operation(*args, **kwargs)
    _gpu.check()
    _refuse(name, operation, args, kwargs, asked, tensors)
    index = ours[0].index if ours else None
    if name == "copy_":
        index = args[0].index if isinstance(args[0], OnGpu) else None
    elif asked is not None:
        index = (asked.index or 0) if asked.type == "cuda" else None
    return _computed(name, operation, args, kwargs, index, {id(x) for x in tensors if not isinstance(x, OnGpu)})


def _refuse(name, operation, args, kwargs, asked, tensors) -> None:
    """Raise for what the devices cannot do, count what waits."""
    ours = [x for x in tensors if isinstance(x, OnGpu)]
    hosts = [x for x in tensors if not isinstance(x, OnGpu)]
    indices = [x for x in _tensors(args[1]) if x is not args[0]] if name in BY_INDEX else []
    if name not in COPYING:
        elsewhere = [x for x in hosts if x.dim() > 0 and not any(x is index for index in indices)]
        if len({x.index for x in ours}) > 1 or (ours and elsewhere):
            found = ", ".join(sorted({str(x.device) for x in [*ours, *elsewhere]}))
            raise RuntimeError(f"Expected all tensors to be on the same device, but found {found} in {operation}")
    if any(not isinstance(x, OnGpu) for x in indices):
        _gpu.wait(f"{name} by a host tensor")
    if name in WAITING or any(x.dtype in (torch.bool, torch.uint8) for x in indices):  # how many there are, nobody knows before
        _gpu.wait(name)
    if name == "copy_" and len({type(x) for x in tensors}) > 1:
        _gpu.wait("copy between host and device")
    if name == "_to_copy" and asked is not None:
        if asked.type == "cpu":
            _gpu.wait("copy to the host")
        elif hosts:
            quick = kwargs.get("non_blocking") and hosts[0].untyped_storage().data_ptr() in _gpu.pinned
            _gpu.copies["pinned" if quick else "pageable"] += 1
            if _gpu.capturing:
                _gpu.wait("copy from the host")


def _computed(name, operation, args, kwargs, index, hosts):
    """The operation on what the tensors hold; index: of the device that its result is on, None for the CPU."""
    first = args[0] if args else None
    kwargs = {key: value for key, value in kwargs.items() if key not in ("pin_memory", "non_blocking")}
    if "device" in kwargs:
        kwargs["device"] = torch.device("cpu")
    bare_args, bare = _map(lambda x: x.held if isinstance(x, OnGpu) else x, (args, kwargs))
    recorded = index is not None and not operation.is_view and (_gpu.capturing or _gpu.watching)
    if recorded and _gpu.capturing:
        _gpu.keep_what_is_written(operation, bare_args, bare)
    result = operation(*bare_args, **bare)
    if index is None:
        return first if name == "copy_" else result
    if name == "_to_copy" and result.data_ptr() == bare_args[0].data_ptr():
        result = result.clone()  # from one device to another is always a copy
    if recorded:
        _gpu.note(operation, bare_args, bare, result, hosts)
        places = {x.untyped_storage().data_ptr() for x in _tensors((bare_args, bare))}
        if _gpu.capturing:
            _gpu.made += [x for x in _tensors(result) if x.numel() and x.untyped_storage().data_ptr() not in places]
    if isinstance(first, OnGpu) and result is first.held:
        return first  # in place
    return _map(lambda x: OnGpu(x, index), result)


class _Devices(TorchDispatchMode):
    """Sees the operations that make a tensor on a device out of none."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class Stream:
    """Streams have places of their own among 32, as torch's have."""

    count = 0

    def __init__(self, device=None, **options):
        Stream.count += 1
        self.place = Stream.count % 32

    def __eq__(self, other):
        return isinstance(other, Stream) and self.place == other.place

    def __hash__(self):
        return hash(self.place)

    def wait_stream(self, other):
        pass

    def synchronize(self):
        _gpu.wait("stream")


class Event:
    def __init__(self, **options):
        pass

    def record(self, stream=None):
        pass

    def synchronize(self):
        _gpu.waits["event"] += 1


class CUDAGraph:
    launches: list[Launch]

    def replay(self):
        _gpu.replays += 1
        _gpu.on_replay(_gpu)
        _gpu.check()
        with torch.no_grad(), _disable_current_modes():
            for launch in self.launches:
                launch.again()


@contextlib.contextmanager
def graph(cuda_graph, pool=None, stream=None, **options):
    """``torch.cuda.graph``"""
    _gpu.capturing, _gpu.launches = True, []
    try:
        yield
        cuda_graph.launches = _gpu.launches
        _gpu.graphs.append(_gpu.launches)
    finally:
        _gpu.capturing, _gpu.launches = False, []
        with torch.no_grad(), _disable_current_modes():
            _gpu.forget_what_was_computed()


@contextlib.contextmanager
def _inside(*args, **kwargs):
    yield


@contextlib.contextmanager
def pretended(count: int = 1, memory: int = 80 << 30):
    """Inside there are ``count`` devices with so many bytes; gives what they do."""
    global _gpu
    default, state, properties = Stream(), torch.get_rng_state(), type("Properties", (), {})()
    properties.name, properties.total_memory, properties.major, properties.minor = "Pretended GPU", memory, 9, 0
    properties.gcnArchName = properties.name  # as a torch for CUDA says on an NVIDIA GPU
    ours = {
        "is_available": lambda: True, "device_count": lambda: count, "_lazy_init": lambda: None, "is_initialized": lambda: True,
        "get_device_name": lambda device=None: "Pretended GPU", "get_device_capability": lambda device=None: (9, 0),
        "get_device_properties": lambda device=None: properties, "get_arch_list": lambda: ["sm_80", "sm_90"],
        "mem_get_info": lambda device=None: (memory, memory), "empty_cache": lambda: None,
        "memory_reserved": lambda device=None: 0, "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0, "reset_peak_memory_stats": lambda device=None: None,
        "synchronize": lambda device=None: None, "Stream": Stream, "Event": Event, "CUDAGraph": CUDAGraph, "graph": graph,
        "current_stream": lambda device=None: default, "set_stream": lambda stream: None, "stream": _inside, "device": _inside,
        "device_of": _inside, "is_current_stream_capturing": lambda: _gpu.capturing,
        "get_rng_state": lambda device=None: torch.get_rng_state(), "set_rng_state": lambda state, device=None: None,
        "manual_seed": lambda seed: None,
    }
    before = {name: getattr(torch.cuda, name) for name in ours}
    lifted, outer = torch._C._only_lift_cpu_tensors(), _gpu
    _gpu = Gpu(memory)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=cuda) is a copy from the host
    try:
        for name, value in ours.items():
            setattr(torch.cuda, name, value)
        with _Devices():
            yield _gpu
    finally:
        _gpu = outer
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.set_rng_state(state)
        for name, value in before.items():
            setattr(torch.cuda, name, value)
