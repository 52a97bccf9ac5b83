"""Records of images, as tests need them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.images import Image, Lease, Status, StatusChange, new_image_id

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def an_image(**fields: Any) -> Image:
    """A PENDING image of `ada`, created at noon, with whatever fields differ."""
    status = fields.get("status", Status.PENDING)
    return Image.model_validate(
        {
            "id": new_image_id(),
            "owner": "ada",
            "preset": "default",
            "filename": "photo.jpg",
            "content_type": "image/jpeg",
            "byte_size": 1_000,
            "created_at": NOON,
            "changed_at": NOON,
            "expires_at": NOON + timedelta(minutes=15),
            "timeline": (StatusChange(status=status, at=NOON),),
            **fields,
        }
    )


def a_lease(fence: str = "a-fence", *, ends: datetime = NOON + timedelta(seconds=30)) -> Lease:
    """A worker's claim."""
    return Lease(fence=fence, until=ends)
