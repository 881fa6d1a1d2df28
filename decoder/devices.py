"""Device ids become keyed hashes: as in `core.devices`, where this is, since the API erases what a device left."""

from core.devices import HASH_BYTES, KEY_BYTES, DeviceHasher, device_key

__all__ = ["HASH_BYTES", "KEY_BYTES", "DeviceHasher", "device_key"]
