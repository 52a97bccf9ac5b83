"""`darkroom doctor`: what is wrong with the data of a deployment, a line for each finding."""

import json
from dataclasses import asdict

import typer

from jobs.consistency import Fault, Finding, Remedy
from jobs.images import IN_MOTION
from jobs.orphans import Totals, scan
from jobs.ports import Services
from jobs.services import open_services
from jobs.settings import Settings

_WORDS = {
    Fault.NO_RECORD: "object without a record",
    Fault.DELETED: "object of a deleted image",
    Fault.UNNAMED: "object that its record does not name",
    Fault.NOT_KEPT: "original that is not to be kept",
    Fault.SOURCE_GONE: "record whose source is gone",
    Fault.SOURCE_CHANGED: "record whose source is another",
    Fault.VARIANTS_GONE: "record whose variants are gone",
    Fault.VARIANTS_CHANGED: "record whose variants are damaged",
    Fault.UPLOAD_MISSED: "record whose upload was missed",
}


async def find_orphans(settings: Settings, *, fix: bool, as_json: bool) -> bool:
    """Print what does not fit together in the bucket and the catalog that `settings` name, and totals.

    Returns:
        Whether no finding remains.

    Raises:
        SettingsError: the address of a service makes no sense.
        Conflict, Unavailable: as `jobs.orphans.scan`.
    """
    async with open_services(settings) as services:
        return await print_orphans(services, fix=fix, as_json=as_json)


async def print_orphans(services: Services, *, fix: bool, as_json: bool) -> bool:
    """The same with services that are open."""
    to_line, to_end = (_as_json, _totals_as_json) if as_json else (_in_words, _totals_in_words)
    totals = await scan(services, lambda finding: typer.echo(to_line(finding)), fix=fix)
    typer.echo(to_end(totals))
    return totals.remaining == 0


def _as_json(finding: Finding) -> str:
    return json.dumps(
        {
            "fault": finding.fault,
            "id": finding.image_id,
            "status": finding.status,
            "keys": finding.keys,
            "byteSize": finding.byte_size,
            "remedy": finding.remedy,
            "fixed": finding.fixed,
        }
    )


def _in_words(finding: Finding) -> str:
    if finding.remedy is Remedy.REMOVE:
        outcome = "removed" if finding.fixed else "--fix removes it"
        return f"{_WORDS[finding.fault]}: {finding.keys[0]}, {finding.byte_size:,} bytes: {outcome}"
    if finding.remedy is Remedy.REPROCESS:
        outcome = "is developed anew" if finding.fixed else "--fix develops it anew"
    elif finding.remedy is Remedy.INGEST:
        outcome = "is developed" if finding.fixed else "--fix has it developed"
    elif finding.status in IN_MOTION:
        outcome = "left to its worker, which will say so in the record"
    else:
        outcome = "left as it is, for it cannot be developed anew"
    count = f"{len(finding.keys)} object{'s' if len(finding.keys) > 1 else ''}"
    return (
        f"{finding.status} {_WORDS[finding.fault]}: {finding.image_id}, "
        f"{count} of {finding.byte_size:,} bytes: {outcome}"
    )


def _totals_as_json(totals: Totals) -> str:
    words = asdict(totals)
    words["orphanBytes"] = words.pop("orphan_bytes")
    return json.dumps({"totals": words})


def _totals_in_words(totals: Totals) -> str:
    return (
        f"{totals.objects:,} objects of {totals.bytes:,} bytes, {totals.orphans:,} of them orphans, "
        f"of {totals.orphan_bytes:,} bytes; {totals.records:,} records, {totals.broken:,} of them broken; "
        f"{totals.remaining:,} findings remain"
    )
