"""x"""
from streamline.options.command import Options

__all__ = ["Options"]
