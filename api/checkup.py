"""`darkroom doctor`: what is wrong with a deployment, a line for each finding."""

import json

import typer

from jobs.checks.checkup import examine
from jobs.checks.result import Result, Verdict
from jobs.clock import Clock
from jobs.settings import Settings

_MARKS = {Verdict.OK: "ok", Verdict.NOTE: "note", Verdict.FAULT: "FAULT", Verdict.FIXED: "fixed"}


async def print_checkup(
    settings: Settings, clock: Clock, *, fix: bool, as_json: bool, event_seconds: float
) -> bool:
    """Print the result of each check, and for people how many found something.

    Returns:
        Whether no finding remains.

    Raises:
        SettingsError: the address of a service makes no sense.
    """
    results: list[Result] = []
    async for result in examine(settings, clock, fix=fix, event_seconds=event_seconds):
        results.append(result)
        typer.echo(_as_json(result) if as_json else _in_words(result))
    faults = sum(result.verdict is Verdict.FAULT for result in results)
    if not as_json:
        typer.echo(f"{len(results)} checks; {faults or 'no'} finding{'' if faults == 1 else 's'}")
    return faults == 0


def _as_json(result: Result) -> str:
    return json.dumps(
        {
            "check": result.check,
            "verdict": result.verdict,
            "message": result.message,
            "advice": result.advice,
        }
    )


def _in_words(result: Result) -> str:
    line = f"{_MARKS[result.verdict]:5}  {result.check}: {result.message}"
    return f"{line}: {result.advice}" if result.advice else line
