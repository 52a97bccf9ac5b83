"""`make bench`: every benchmark, or those named: `make bench ARGS="spine"`, `"hostile"`, `"imaging"`."""

import asyncio
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_LOG_LEVEL", "warning")
    from tests.bench import hostile, spine
    from tests.bench.imaging import cores, table

    chosen = sys.argv[1:] or ["spine", "hostile", "imaging"]
    if "spine" in chosen:
        asyncio.run(spine.main())
    if "hostile" in chosen:
        asyncio.run(hostile.main())
    if "imaging" in chosen:
        table.main()
        asyncio.run(cores.main())
