"""Kafka's words to ours and back: one module per family of APIs."""
