"""Work on many things in a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def as_they_finish(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int, name: str
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what the work on it gave, in the order in which threads finish them.

    Where the work on one raises, or nobody asks for more, what has not begun is dropped.

    Args:
        work: is called in a thread, once for each item.
        items: what is worked on, begun in their order.
        threads: how many items are worked on at a time.
        name: the beginning of the threads' names.
    """
    pool = ThreadPoolExecutor(max(1, min(threads, len(items))), thread_name_prefix=name)
    try:
        under_way = {pool.submit(work, item): item for item in items}
        for future in as_completed(under_way):
            yield under_way[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
