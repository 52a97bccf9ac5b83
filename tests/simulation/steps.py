"""What one step of a record says of whoever made it."""

from jobs.images import IN_MOTION, Image, variants_prefix


def judge_step(before: Image | None, after: Image) -> list[str]:
    """What is wrong with a record that came to be `after`, having been `before`."""
    wrong = []
    if after.status in IN_MOTION and after.due_at is None:
        wrong.append(f"{after.status}, and the sweep never comes")
    if before is None or before.lease is None:
        return wrong
    lease = before.lease
    if after.takes > before.takes and lease.until > after.changed_at:
        wrong.append("taken from a worker whose lease ran")
    new = {variant.key for variant in after.variants} - {variant.key for variant in before.variants}
    if not all(key.startswith(variants_prefix(after.id) + lease.fence) for key in new):
        wrong.append("shows what somebody made who did not hold the lease")
    return wrong
