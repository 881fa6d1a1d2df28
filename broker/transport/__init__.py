"""Bytes in, bytes out: TCP, WebSocket, the PROXY protocol."""
