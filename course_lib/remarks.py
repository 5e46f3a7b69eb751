"""What libraries say besides their results: warnings and log lines, collected so that a lesson can show them.

A warning written straight to the notebook stands in red above the result, with the path of a library's file. Here it
becomes a line of text.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def remarks(*loggers: str) -> Iterator[list[str]]:
    """Collect Python warnings and what the named loggers say (default: transformers), in the order in which they come.

    Yields a list that fills while the block runs: `[FutureWarning] text` for a warning, `[transformers] text` for a
    log line. Nothing of it reaches stderr. Loggers and filters are as before afterwards, also after an error.
    """
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"[{record.name.split('.')[0]}] {record.getMessage()}")

    def collect_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        said.append(f"[{category.__name__}] {message}")

    chosen = [logging.getLogger(name) for name in loggers or ("transformers",)]
    before = [(logger, logger.handlers, logger.propagate) for logger in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = collect_warning
        try:
            for logger in chosen:
                logger.handlers, logger.propagate = [Collect()], False
            yield said
        finally:
            for logger, handlers, propagate in before:
                logger.handlers, logger.propagate = handlers, propagate
