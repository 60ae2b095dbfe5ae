"""Kinds of values on the command line; what is wrong is said in words."""

from __future__ import annotations

import ipaddress
from argparse import ArgumentTypeError


def positive(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{value!r} is no number above 0")
    return number


def count(value: str) -> int:
    if not value.isdecimal() or int(value) == 0:
        raise ArgumentTypeError(f"{value!r} is no whole number above 0")
    return int(value)


def ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ArgumentTypeError(f"{value!r} is no IP address") from None


def mailbox(value: str) -> str:
    if not set(value).isdisjoint("\r\n\0<>"):
        raise ArgumentTypeError(f"{value!r} is no address that could stand"
                                " between < and >")
    return value


def recipient(value: str) -> str:
    if not value:
        raise ArgumentTypeError("a recipient cannot be empty")
    return mailbox(value)
