"""Who asks, and what they may do: API keys and their scopes."""

from api.auth.access import Access, public_occupancy, requires
from api.auth.audit import Audit, Shown
from api.auth.keys import Key, Keys, Scope

__all__ = ["Access", "Audit", "Key", "Keys", "Scope", "Shown", "public_occupancy", "requires"]
