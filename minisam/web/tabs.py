"""Which tabs show the page: when the last one is closed, the program ends.

A page reports when it opens, every half minute, and when it closes.  A browser that crashed reports nothing, and its
tabs are forgotten after a while; background tabs report at least once a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FORGOTTEN_AFTER = 180.0
"""Seconds without a report."""
GRACE = 5.0
"""Seconds after the last tab was closed in which a page may come back: a reload closes and opens it."""
MOST_TABS = 1000


class Tabs:
    """Calls `ended` once, `GRACE` seconds after the last of at least one tab was closed."""

    def __init__(
        self, ended: Callable[[], object], grace: float = GRACE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ended, self.grace, self.clock = ended, grace, clock
        self.seen: dict[str, float] = {}
        self.empty_since: float | None = None
        self.lock = threading.Lock()

    def report(self, tab: str) -> None:
        with self.lock:
            if len(self.seen) < MOST_TABS:
                self.seen[tab], self.empty_since = self.clock(), None

    def close(self, tab: str) -> None:
        with self.lock:
            if self.seen.pop(tab, None) is not None and not self.seen:
                self.empty_since = self.clock()

    def check(self) -> None:
        """Called again and again by the server."""
        with self.lock:
            now = self.clock()
            for tab in [tab for tab, last in self.seen.items() if now - last > FORGOTTEN_AFTER]:
                del self.seen[tab]
                self.empty_since = now if not self.seen else None
            over = self.empty_since is not None and now - self.empty_since >= self.grace
            self.empty_since = None if over else self.empty_since
        if over:
            self.ended()
