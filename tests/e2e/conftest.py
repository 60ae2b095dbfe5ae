"""Fixtures of the end-to-end tests. See netns.py, mta.py, mx.py, weir.py."""

import netns
import pytest

NAMESPACES = netns.why_not()


@pytest.fixture
def net():
    """Network namespaces, gone with everything in them after the test."""
    if NAMESPACES:
        pytest.skip(NAMESPACES)
    made = netns.Net()
    yield made
    made.close()
