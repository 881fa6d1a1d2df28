"""What version 1 says."""

from datetime import datetime

from apps.kit.campus import Campus, Zone


async def sentence(zone: Zone, _campus: Campus, _now: datetime) -> str:
    """Who is in the zone now."""
    if zone.stale is not None:
        return f"{zone.name}: nobody knows at present how many are there."
    if zone.phones is None:
        return f"{zone.name}: too few are there to say how many."
    people = "1 phone" if zone.phones == 1 else f"{zone.phones} phones"
    return f"{zone.name}: {people} at present."
