"""How objects are pickled that Python's own rules cannot pickle, or would restore as something
else without a word. Each comes back right, or is refused with the reason.

Imports no library for it: a type can only turn up where its library is loaded.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.lineage import library_of

if TYPE_CHECKING:
    from collections.abc import Callable

_Reduced = tuple[Any, ...]

_LOCK: Any = type(threading.Lock())


def reduce(obj: Any) -> Any:
    """The way to pickle ``obj``, or NotImplemented where Python's own will do.

    Raises TypeError with the reason where it cannot be saved.
    """
    kind = type(obj)
    if obj is sys.stdout or obj is sys.stderr or obj is sys.stdin:
        name = next(name for name in ("stdout", "stderr", "stdin") if getattr(sys, name) is obj)
        return getattr, (sys, name)
    found = _BY_TYPE.get(kind)
    if found is not None:
        return found(obj)
    refused = _REFUSED_NAMES.get(f"{kind.__module__}.{kind.__qualname__}")
    if refused is not None:
        raise TypeError(refused)
    if isinstance(obj, _REFUSED_BASES):
        message = f"a {kind.__name__} belongs to the process that it runs in"
        raise TypeError(message)
    library = _LIBRARIES.get(library_of(kind))
    return NotImplemented if library is None else library(obj)


# -- files -------------------------------------------------------------------------------------


def _reduce_file(file: Any) -> _Reduced:
    if file.closed:
        return _closed_file, (type(file).__name__, _name_of(file))
    mode, path = str(getattr(file, "mode", "")), _name_of(file)
    if not isinstance(path, (str, os.PathLike)):
        message = "an open file without a path cannot be opened again"
        raise TypeError(message)
    if not mode.startswith("r") or "+" in mode:
        message = f"{path} is open for writing; open it again where you want to go on"
        raise TypeError(message)
    path = str(Path(path).absolute())
    if not Path(path).is_file():
        message = f"{path} is open and no file that could be opened again"
        raise TypeError(message)
    try:
        position = file.tell()
    except OSError as error:  # in the middle of `for line in file`
        message = f"the position in {path} cannot be told while a loop reads it"
        raise TypeError(message) from error
    if not isinstance(file, io.TextIOWrapper):
        return _open_again, (path, "rb", position, 0 if isinstance(file, io.FileIO) else -1)
    if file.newlines not in {None, "\n"}:
        message = f"whether the line ends of {path} are translated is not known"
        raise TypeError(message)
    return _open_again, (path, "r", position, -1, file.encoding, file.errors)


def _name_of(file: Any) -> Any:
    return getattr(file, "name", None)


def _open_again(  # noqa: PLR0917 - pickle passes arguments by position
    path: str,
    mode: str,
    position: int,
    buffering: int,
    encoding: str | None = None,
    errors: str | None = None,
) -> Any:
    if Path(path).stat().st_size == 0 and position:
        message = f"{path} is empty now; it was read up to {position}"
        raise ValueError(message)
    file = Path(path).open(mode, buffering, encoding, errors)  # noqa: SIM115 - it stays open
    file.seek(position)
    return file


def _closed_file(kind: str, path: Any) -> Any:
    """A closed file: it knows its name and refuses all else."""
    file: Any = Path(os.devnull).open("r" if kind == "TextIOWrapper" else "rb")  # noqa: SIM115
    file.close()
    raw = getattr(getattr(file, "buffer", file), "raw", file)
    with contextlib.suppress(AttributeError):  # it keeps the name of the null device
        raw.name = path
    return file


# -- matches, locks, references ------------------------------------------------------------------


def _reduce_match(match: re.Match[Any]) -> _Reduced:
    state = (match.re, match.string, match.pos, match.endpos, match.span())
    made = _match_again(*state)
    if made.regs != match.regs:
        message = "the match cannot be made again from its pattern"
        raise TypeError(message)
    return _match_again, state


def _match_again(
    pattern: re.Pattern[Any], string: Any, pos: int, endpos: int, span: tuple[int, int]
) -> Any:
    for way in ("search", "match", "fullmatch"):
        found: Any = getattr(pattern, way)(string, pos, endpos)
        if found is not None and found.span() == span:
            return found
    for found in pattern.finditer(string, pos, endpos):
        if found.span() == span:
            return found
    message = "the match cannot be made again from its pattern"
    raise TypeError(message)


def _reduce_lock(lock: Any) -> _Reduced:
    """A lock that nobody holds, as a new one."""
    if type(lock) is _LOCK:
        held = lock.locked()
    else:  # before Python 3.14 it does not tell
        held = not lock.acquire(blocking=False)
        if not held:
            lock.release()
    if held:
        message = "a lock that is held belongs to the thread that holds it"
        raise TypeError(message)
    return (threading.Lock if type(lock) is _LOCK else threading.RLock), ()


def _reduce_memory(view: memoryview) -> _Reduced:
    """A view of the whole of something; cloudpickle would restore the bytes themselves."""
    whole = memoryview(view.obj)
    if (view.nbytes, view.format, view.shape) != (whole.nbytes, whole.format, whole.shape):
        message = "a part of a memory cannot be told from a copy"
        raise TypeError(message)
    return memoryview, (view.obj,)


def _reduce_reference(reference: Any) -> _Reduced:
    """A weak reference to something that its group holds (`groups` sees to that)."""
    if reference.__callback__ is not None:
        message = "a weak reference with a callback cannot be told from its user's bookkeeping"
        raise TypeError(message)
    target: Any = reference()
    return (_dead_reference, ()) if target is None else (weakref.ref, (target,))


class _Gone:
    """What a dead reference once meant."""


def _dead_reference() -> weakref.ref[Any]:
    return weakref.ref(_Gone())


def _reduce_weak_values(mapping: weakref.WeakValueDictionary[Any, Any]) -> _Reduced:
    return _weak_values, (list(mapping.items()),)


def _weak_values(items: list[tuple[Any, Any]]) -> weakref.WeakValueDictionary[Any, Any]:
    return weakref.WeakValueDictionary(items)


def _reduce_weak_keys(mapping: weakref.WeakKeyDictionary[Any, Any]) -> _Reduced:
    return _weak_keys, (list(mapping.items()),)


def _weak_keys(items: list[tuple[Any, Any]]) -> weakref.WeakKeyDictionary[Any, Any]:
    return weakref.WeakKeyDictionary(items)


def _reduce_cached(function: Any) -> Any:
    """A function of the notebook with its cache, which begins anew; by its name, pickle would
    find whatever has that name then.
    """
    wrapped = function.__wrapped__
    if getattr(wrapped, "__module__", "__main__") != "__main__":
        return NotImplemented
    parameters = function.cache_parameters()
    return _cached_again, (wrapped, parameters["maxsize"], parameters["typed"])


def _cached_again(wrapped: Any, maxsize: int | None, typed: bool) -> Any:  # noqa: FBT001
    return functools.lru_cache(maxsize=maxsize, typed=typed)(wrapped)


_BY_TYPE: dict[type, Callable[[Any], Any]] = {
    io.TextIOWrapper: _reduce_file,
    io.BufferedReader: _reduce_file,
    io.BufferedWriter: _reduce_file,
    io.BufferedRandom: _reduce_file,
    io.FileIO: _reduce_file,
    re.Match: _reduce_match,
    _LOCK: _reduce_lock,
    type(threading.RLock()): _reduce_lock,
    memoryview: _reduce_memory,
    type(functools.lru_cache(len)): _reduce_cached,
    weakref.ref: _reduce_reference,
    weakref.WeakValueDictionary: _reduce_weak_values,
    weakref.WeakKeyDictionary: _reduce_weak_keys,
}


# -- what locks would make look as if it could be pickled ------------------------------------------

_REFUSED_BASES: tuple[type, ...] = (threading.Thread, threading.local)

_REFUSED_NAMES = {
    name: f"a {name.rpartition('.')[2]} belongs to the process that it runs in"
    for name in (
        "asyncio.base_events.Server",
        "asyncio.locks.Condition",
        "asyncio.locks.Event",
        "asyncio.locks.Lock",
        "asyncio.locks.Semaphore",
        "asyncio.queues.Queue",
        "asyncio.unix_events._UnixSelectorEventLoop",
        "concurrent.futures._base.Future",
        "concurrent.futures.process.ProcessPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "multiprocessing.context.Process",
        "multiprocessing.pool.Pool",
        "multiprocessing.pool.ThreadPool",
        "sched.scheduler",
        "subprocess.Popen",
        "tempfile.TemporaryDirectory",
        "tempfile._TemporaryFileWrapper",
        "tempfile.SpooledTemporaryFile",
        "threading._DummyThread",
        "threading._MainThread",
        "weakref.finalize",
    )
}


# -- libraries -----------------------------------------------------------------------------------


def _reduce_memmap(array: Any) -> Any:
    """A memory map as the place in its file; NumPy would restore a copy that says it is a map."""
    numpy = sys.modules["numpy"]
    if type(array) is not numpy.memmap:
        return NotImplemented
    if isinstance(array.base, numpy.ndarray) or array.filename is None:
        message = "a part of a memory map cannot be told from a copy; keep the map itself"
        raise TypeError(message)
    path = str(Path(array.filename).absolute())
    flags = array.flags
    if not (flags.c_contiguous or flags.f_contiguous):
        message = f"the memory map of {path} is in an unusual order"
        raise TypeError(message)
    order = "C" if flags.c_contiguous else "F"
    mode = "r+" if array.mode == "w+" else array.mode
    status = Path(path).stat()
    stamp = (status.st_size, status.st_mtime_ns if mode in ("r", "c") else None)
    state = (path, array.dtype, mode, int(array.offset), array.shape, order)
    if mode == "c":  # copy on write: what was written is in memory only
        message = f"changes to the memory map of {path} are in memory only (mode 'c')"
        raise TypeError(message)
    return _map_again, (*state, stamp)


def _map_again(  # noqa: PLR0917 - pickle passes arguments by position
    path: str,
    dtype: Any,
    mode: Any,
    offset: int,
    shape: Any,
    order: Any,
    stamp: tuple[int, int | None],
) -> Any:
    import numpy as np

    status = Path(path).stat()
    size, time = stamp
    if status.st_size != size or (time is not None and status.st_mtime_ns != time):
        message = f"{path} is not the file any more that was mapped"
        raise ValueError(message)
    return np.memmap(path, dtype, mode, offset, shape, order)


def _reduce_torch(obj: Any) -> Any:
    """A tensor's memory once for all tensors of the group that show it, and the device that it is
    moved back to where there is one. (torch's own way saves it once for each tensor.)
    """
    torch = sys.modules["torch"]
    kind = type(obj)
    if kind is torch.storage.TypedStorage:
        return _typed_storage, (obj._untyped_storage, obj.dtype)  # noqa: SLF001 - `untyped()` warns
    if kind is torch.UntypedStorage:
        memory = torch.empty(0, dtype=torch.uint8).set_(obj.cpu())
        return _torch_storage, (memory.numpy(), str(obj.device))
    if kind is torch.Generator:
        return _torch_generator, (str(obj.device), obj.get_state().numpy().tobytes())
    if torch.is_tensor(obj):
        return _reduce_tensor(obj)
    return NotImplemented


def _reduce_tensor(tensor: Any) -> Any:
    """As torch does, which forgets the gradient and what a tensor was computed from."""
    if not tensor.is_leaf:
        message = "the tensor leads back to what it was computed from, which cannot be saved"
        raise TypeError(message)
    if tensor.grad is None:
        return NotImplemented
    make, arguments = tensor.__reduce_ex__(5)[:2]
    return _tensor_with_gradient, (make, arguments, tensor.grad)


def _tensor_with_gradient(make: Callable[..., Any], arguments: Any, gradient: Any) -> Any:
    tensor = make(*arguments)
    tensor.grad = gradient
    return tensor


def _typed_storage(storage: Any, dtype: Any) -> Any:
    import torch

    return torch.storage.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


def _torch_storage(memory: Any, device: str) -> Any:
    import torch

    storage = torch.from_numpy(memory).untyped_storage().clone()
    if torch.device(device).type == "cuda" and torch.cuda.is_available():
        return storage.cuda()
    return storage


def _torch_generator(device: str, state: bytes) -> Any:
    import torch

    generator = torch.Generator(device=device)
    generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
    return generator


_LIBRARIES: dict[str, Callable[[Any], Any]] = {"numpy": _reduce_memmap, "torch": _reduce_torch}
