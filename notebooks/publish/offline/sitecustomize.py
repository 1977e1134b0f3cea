"""Refuses every connection that leaves this computer; put first on the path of a kernel, it proves a lesson offline."""

import os
import socket

_connect = socket.socket.connect
_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


def _refusing(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(host).startswith(_LOCAL):
        log = os.environ.get("FLOWEDIT_REFUSED_LOG")
        if log:
            with open(log, "a", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would load at every start
                file.write(f"{host}\n")
        raise ConnectionRefusedError(f"A lesson tried to reach {host}; lessons run without network.")
    _connect(self, address)


socket.socket.connect = _refusing
