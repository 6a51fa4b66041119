"""Connections: frames in, answers out, limits on both."""
