"""Device ids become keyed hashes: as in `runtime.devices`, where this is, since the API erases what a device left."""

from runtime.devices import HASH_BYTES, KEY_BYTES, DeviceHasher, device_key

__all__ = ["HASH_BYTES", "KEY_BYTES", "DeviceHasher", "device_key"]
