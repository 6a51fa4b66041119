"""
Real nodes, real clients, and everything that can be done to them short of pulling the plug.

L{streamline.testing.chaos.trial} runs clients against a cluster of processes while faults strike it, and has
L{streamline.testing.checks} judge what they saw.  C{python -m streamline.testing.chaos} does so for as long as wanted.
The clients are librdkafka (confluent-kafka) and kafka-python, which must be installed.
"""
