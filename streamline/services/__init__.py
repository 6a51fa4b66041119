"""The Twisted services that carry out what the floor below decides."""
