"""Two kinds of work at once on a CPU: a generator runs in a thread of its own, a few items ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
DEPTH = 4
LOOK_S = 0.02


class Ahead(Generic[Item]):
    """Runs `work` in a thread with one CPU thread of torch's, and leaves the caller's thread one fewer until it is closed.

    Items come in order, an error of `work` comes where its item would have come. Threads count by torch's own number at the
    start, so that no more are busy than were allowed.

    Parameters
    ----------
    work
        Perhaps begun already. It is closed, in its thread, when it ends or `close` is called.
    depth
        Items that may wait to be taken.
    """

    def __init__(self, work: Generator[Item], *, depth: int = DEPTH) -> None:
        self._items: queue.Queue[Item | _End] = queue.Queue(depth)
        self._closing = threading.Event()
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._run, args=(work,), name="token loop", daemon=True)
        self._thread.start()
        torch.set_num_threads(max(1, self._threads - 1))

    @property
    def closing(self) -> bool:
        """Whether what is made now will be taken by nobody."""
        return self._closing.is_set()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """End the work, wait until its thread is gone, and give the caller's thread its number of CPU threads back."""
        self._closing.set()
        self._thread.join()
        while not self._items.empty():
            self._items.get_nowait()
        torch.set_num_threads(self._threads)

    def _run(self, work: Generator[Item]) -> None:
        torch.set_num_threads(1)
        end = _End(None)
        try:
            for item in work:
                if not self._put(item):
                    break
            work.close()
        except BaseException as error:
            end = _End(error)
        del work
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._closing.is_set():
            try:
                self._items.put(item, timeout=LOOK_S)
                return True
            except queue.Full:
                continue
        return False


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
