"""x."""


def page() -> str:
    """X."""
    return ""
