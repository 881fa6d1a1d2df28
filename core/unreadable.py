"""What decoding raises of bytes that are not what was asked for."""

import msgspec

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises of no JSON or MessagePack, of no UTF-8, of another form, and of what is nested too deeply.

Whoever decodes what came from outside, from a store or from a file catches all of it.
"""
