"""
The rules that this broker is trusted for, each with the line that keeps it and the test that misses it.

C{rules} says what is promised, an area each (C{storage}, C{idempotence}, ...) says which lines keep
the promises, C{planting} takes such a line out of a tree, and C{running} shows that tests notice.
"""
