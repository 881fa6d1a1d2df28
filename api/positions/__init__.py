"""Positions: received over HTTP, found again, and erased with their device."""
