"""Who asks, and what they may do: API keys and their scopes."""

from api.auth.access import Access, public_occupancy, requires
from api.auth.keys import Key, Keys, Scope

__all__ = ["Access", "Key", "Keys", "Scope", "public_occupancy", "requires"]
