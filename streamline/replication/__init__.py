"""When bytes count as committed: acks, epochs, watermarks, fetch sessions.  Pure."""
