"""`make bench`: every benchmark, one table each."""

import asyncio
import os

from tests.bench.spine import main

if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_LOG_LEVEL", "warning")
    asyncio.run(main())
