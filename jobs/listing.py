"""Lists of images in MongoDB: what a page asks for, and the indexes that have it in order.

A page names its index. For a filter that few images pass, the planner would choose another and sort what it
finds in memory; here nothing is sorted, and what is behind a cursor begins where it points.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from jobs.ports import ImageFilter, ImageOrder, Position

Document = dict[str, Any]
Keys = list[tuple[str, int]]

_CLOCKS = timedelta(minutes=1)  # by no more than that do those of two machines differ
_IS_DATE = {"$type": "date"}
_IS_STRING = {"$type": "string"}


class Index(NamedTuple):
    """An index; `partial` is the filter for the records that are in it."""

    name: str
    keys: Keys
    partial: Document

    @property
    def options(self) -> Document:
        """What else the database is told of it."""
        return {"partialFilterExpression": self.partial} if self.partial else {}


class PageQuery(NamedTuple):
    """What finds a page: the filter, the order, and the name of the index that is used."""

    filter: Document
    sort: Keys
    hint: str


_BY = ("", "labels", "status")  # what comes before the order's field in an index


def _index(field: str, by: str) -> Index:
    keys: Keys = [("owner", 1), (field, -1), ("_id", -1)]
    partial: Document = {} if field == "created_at" else {field: _IS_DATE}
    match by:
        case "labels":
            return Index(f"{field}_by_label", [keys[0], (by, 1), *keys[1:]], partial | {"labels": _IS_STRING})
        case "status":  # of which there may be one in a million
            return Index(f"{field}_by_status", [keys[0], (by, 1), *keys[1:], ("preset", 1)], partial)
    # The last two spare reading the records of other states and presets.
    return Index(field, [*keys, ("status", 1), ("preset", 1)], partial)


_INDEXES = {
    (field, by): _index(field, by) for field in sorted({order.field for order in ImageOrder}) for by in _BY
}
INDEXES = list(_INDEXES.values())


def page_query(owner: str, *, after: Position | None, matching: ImageFilter, order: ImageOrder) -> PageQuery:
    """What finds `owner`'s images behind `after`."""
    field, labelled = order.field, matching.label is not None
    by = "labels" if labelled else "status" if matching.statuses is not None else ""
    index = _INDEXES[field, by]
    # A partial index is used only by who says that he asks for nothing beside it.
    conditions: list[Document] = [{"owner": owner}, *({name: rule} for name, rule in index.partial.items())]
    if labelled:
        conditions.append({"labels": matching.label})
    if matching.statuses is not None:
        conditions.append({"status": {"$in": sorted(matching.statuses)}})
    if matching.presets is not None:
        conditions.append({"preset": {"$in": sorted(matching.presets)}})
    if matching.created_after is not None:
        conditions.append({"created_at": {"$gte": matching.created_after}})
        # No time of an image is before its creation: where a scan of another order can stop, or begin.
        conditions.append({field: {"$gte": matching.created_after - _CLOCKS}})
    if matching.created_before is not None:
        conditions.append({"created_at": {"$lt": matching.created_before}})
    if after is not None:
        conditions.append(behind(field, after, newest_first=order.newest_first))
    direction = -1 if order.newest_first else 1
    return PageQuery({"$and": conditions}, [(field, direction), ("_id", direction)], index.name)


def behind(field: str, position: Position, *, newest_first: bool) -> Document:
    """The filter for what lies behind `position` in the order of `field`, then of the id."""
    beyond, bound = ("$lt", "$lte") if newest_first else ("$gt", "$gte")
    return {
        field: {bound: position.at},  # where a scan can begin; alternatives alone would not tell it
        "$or": [{field: {beyond: position.at}}, {"_id": {beyond: position.id}}],
    }
