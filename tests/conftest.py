"""
What holds for every test.

Hypothesis gives an example 200 ms by default and fails a test that takes longer.
How long one takes says nothing about the code on a machine that does other things
as well, so there is no such limit; how much is tried is a number, not a time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")
