"""Run inside a throwaway root: the loopback provider, at which one seat is used up. Says its origin, and stays."""

import fcntl
import socket
import struct
import sys

from tests.pi.answers import QUICK, Answer, unified
from tests.pi.provider import Provider

_SET_FLAGS, _UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))  # in a new network it is down

with Provider() as provider:
    for name in sys.argv[1:]:
        provider.know(name, f"sk-ant-oat01-fake-{name}")
    spent = Answer(status=429, error="limit reached", headers={**unified(0.3, 1.0, status="rejected"), **QUICK})
    provider.script = lambda served: spent if served.seat == sys.argv[1] else Answer(headers=unified(0.3, 0.2))
    sys.stdout.write(f"{provider.origin}\n")
    sys.stdout.flush()
    sys.stdin.read()
