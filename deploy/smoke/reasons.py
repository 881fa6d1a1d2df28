"""Why a connection does not come about, in words that say what to look at."""

import socket
import ssl

_REASONS: list[tuple[tuple[type[OSError], ...], str]] = [
    ((socket.gaierror,), "the name of the host is not known"),
    ((ConnectionRefusedError,), "nobody listens there"),
    ((ConnectionResetError, BrokenPipeError), "it closes the connection: is this the right port?"),
    ((TimeoutError,), "it does not answer in time: is a firewall or a network policy in between?"),
]


def why(error: OSError) -> str:
    """One clause about an error of a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): "
            "name the authority with --ca, and the host as the certificate has it"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS does not come about ({error.reason or error}): is this the port that speaks TLS?"
    known = (clause for kinds, clause in _REASONS if isinstance(error, kinds))
    return next(known, str(error) or type(error).__name__)
