"""The edges: the only package that knows Faust, Kafka, the clock and the environment."""

__version__ = "0.1.0"
