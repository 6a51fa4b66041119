"""Floor 3: the Twisted services that carry out what the cores below decide."""
