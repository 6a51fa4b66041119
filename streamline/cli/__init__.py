"""The command C{streamline}: what people type who want to see something, beside C{twist streamline}."""
