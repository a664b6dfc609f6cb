"""Work on a thread of its own, one item ahead of whoever takes the results."""

from __future__ import annotations

import functools
import itertools
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

from lrm_sdk.backends.job import POLL_INTERVAL

Item = TypeVar("Item")
Result = TypeVar("Result")
Poll = Callable[[], None]


def one_ahead(
    items: Callable[[Poll], Iterable[Item]],
    work: Callable[[Item, Poll], Result],
    wait: Callable[[int], None],
) -> Generator[Result, None, None]:
    """work(item, poll) of each item, in order: while the caller has one result, the next is made.

    items   gives the items when called on the thread, on which it is also iterated over.
    work    calls poll() now and then, as `items` may: it raises once nobody wants more results.
    wait    called now and then while the caller waits, and before it gets a result, with the number of
            results that are done; it may raise to stop.

    What items and work raise comes out in the place of their result. The thread has ended when this has
    (exhausted, closed, or raised).
    """
    ahead: _Ahead[Result] = _Ahead()
    thread = threading.Thread(target=ahead.work, args=(items, work), daemon=True, name="lrm-ahead")
    try:
        thread.start()
        for done in itertools.count():
            if not ahead.take(functools.partial(wait, done)):
                return
            wait(done + 1)
            yield ahead.result.pop()  # not kept here: it may be large
    finally:
        ahead.stop()
        if thread.ident is not None:
            thread.join()


class _Stopped(Exception):
    """Nobody wants more results."""


class _Ahead(Generic[Result]):
    """Between the two threads: permits to begin an item, and outcomes."""

    def __init__(self) -> None:
        self.result: list[Result] = []  # the one that was taken
        self._permits = threading.Semaphore(1)
        self._stopped = threading.Event()
        self._outcomes: queue.SimpleQueue[tuple[BaseException | None, list[Result]]] = queue.SimpleQueue()

    def work(self, items: Callable[[Poll], Iterable[Any]], work: Callable[[Any, Poll], Result]) -> None:
        """The thread's part."""
        source: Any = None
        try:
            source = iter(items(self._poll))
            self._permits.acquire()
            while not self._stopped.is_set():
                self._outcomes.put((None, [work(next(source), self._poll)]))
                self._permits.acquire()
        except BaseException as error:  # for the caller's thread, StopIteration too
            self._outcomes.put((error, []))
        finally:
            if isinstance(source, Generator):
                source.close()

    def take(self, wait: Poll) -> bool:
        """Puts the next result into `result` and lets the thread go on; False after the last."""
        while True:
            try:
                error, self.result = self._outcomes.get(timeout=POLL_INTERVAL)
                break
            except queue.Empty:
                wait()
        if isinstance(error, StopIteration):
            return False
        if error is not None:
            raise error
        self._permits.release()
        return True

    def stop(self) -> None:
        self._stopped.set()
        self._permits.release()

    def _poll(self) -> None:
        if self._stopped.is_set():
            raise _Stopped
