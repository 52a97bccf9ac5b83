"""`make bench`: every benchmark, one table each."""

import asyncio

from tests.bench.spine import main

if __name__ == "__main__":
    asyncio.run(main())
