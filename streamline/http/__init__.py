"""Health and metrics for people and their tools, over HTTP."""
