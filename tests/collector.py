"""The garbage collector, as tests of what is left to it need it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collector() -> Iterator[None]:
    """Nothing is collected in between: what only the collector would free stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
