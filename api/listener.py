"""Listening: a socket of ours, so that a port which is taken is told of in one line."""

import errno
import socket

from jobs.supervise import ServiceFailed


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ServiceFailed: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2_048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ServiceFailed(f"port {port} is taken: choose another") from error
        raise ServiceFailed(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
