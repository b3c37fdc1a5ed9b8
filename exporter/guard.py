"""The one exception barrier: an internal error is logged with its traceback, counted, and everything else continues.

An unhandled exception ends its thread only: the process would keep running without its poller or renderer, and serve
old figures. So every long-running thread runs its work through ``Guard.run``. A test allows ``except Exception`` here
only, because it hides errors anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = structlog.get_logger()


class Guard:
    """Runs actions that must not end their thread. Safe for use from any thread.

    Args:
        count: called with the component after each internal error.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count

    def run(self, component: str, action: Callable[[], T]) -> T | None:
        """Run an action and return its result; None after an internal error.

        Args:
            component: the value of the ``component`` label.
            action: what to run.
        """
        try:
            return action()
        except Exception:
            log.exception("internal error, please report it", component=component)
            self._count(component)
            return None  # KeyboardInterrupt and SystemExit are no Exception and pass
