"""Clients of a node, written at the byte level, that keep a history of what they did and saw."""
