#!/usr/bin/python3
"""Whoever watches a weir: the page open in a browser (its stream of events,
its figures every ten seconds) and Prometheus, which scrapes every second.

    watcher.py HOST:PORT        until it is killed
"""
import http.client
import sys
import threading
import time


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"{path}: {response.status}")
    return response


def stream(address):
    response = get(address, "/events")
    while response.read1(65536):
        pass
    sys.exit("/events has ended")


def main():
    address = sys.argv[1]
    threading.Thread(target=stream, args=[address], daemon=True).start()
    second = 0
    while True:
        get(address, "/metrics").read()
        if second % 10 == 0:
            for path in ("status", "mx", "series", "sessions"):
                get(address, f"/api/v1/{path}").read()
        second += 1
        time.sleep(1)


main()
