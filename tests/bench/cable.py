"""A cable between two network namespaces that holds each packet back for a
while: netem's work, done with two TUN devices, since not every kernel has
netem.
"""

import contextlib
import fcntl
import os
import queue
import struct
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000


def tun(namespace, addresses):
    with namespace.inside():
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF, struct.pack(
            "16sH", b"cable", IFF_TUN | IFF_NO_PI))
    namespace.address("cable", *addresses)
    return device


def carry(source, target, delay_s):
    """Each packet that comes out of source goes into target, so much later."""
    waiting = queue.SimpleQueue()

    def take():
        with contextlib.suppress(OSError):
            while True:
                waiting.put((os.read(source, 65536),
                             time.monotonic() + delay_s))

    def give():
        with contextlib.suppress(OSError):
            while True:
                packet, due = waiting.get()
                time.sleep(max(0, due - time.monotonic()))
                os.write(target, packet)
    for work in (take, give):
        threading.Thread(target=work, daemon=True).start()


def cable(one, addresses_one, other, addresses_other, delay_s):
    ends = tun(one, addresses_one), tun(other, addresses_other)
    carry(ends[0], ends[1], delay_s)
    carry(ends[1], ends[0], delay_s)
