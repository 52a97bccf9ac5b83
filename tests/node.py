"""Programs that others made for Node, run on what tests give them."""

import asyncio
import os
from pathlib import Path

CLIENTS = Path(__file__).parent / "clients"


async def run_node(node_modules: Path, script: Path | str, *arguments: Path | str) -> str:
    """What a script says on its standard output.

    Args:
        script: one of `tests/clients`, by name, or any other by its whole path.

    Raises:
        AssertionError: it failed, or said something on its standard error: a warning is a fault.
    """
    process = await asyncio.create_subprocess_exec(
        "node", CLIENTS / script, *arguments,
        env=os.environ | {"NODE_PATH": str(node_modules)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, complaints) == (0, b""), (told + complaints).decode()
    return told.decode()
