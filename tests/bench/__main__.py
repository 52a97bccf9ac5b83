"""`make bench`: every benchmark, or those named, as in `make bench ARGS="spine hostile"`."""

import asyncio
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_LOG_LEVEL", "warning")
    import uvloop

    from tests.bench import hostile, mutations, spine, subscribers
    from tests.bench.imaging import cores, table

    chosen = sys.argv[1:] or ["spine", "hostile", "subscribers", "mutations", "imaging"]
    if "spine" in chosen:
        asyncio.run(spine.main())
    if "hostile" in chosen:
        asyncio.run(hostile.main())
    if "subscribers" in chosen:
        uvloop.run(subscribers.main())
    if "mutations" in chosen:
        asyncio.run(mutations.main())
    if "imaging" in chosen:
        table.main()
        asyncio.run(cores.main())
