"""Bytes become events here, once: `Reader(settings).read(batch)`. What is no event becomes a dead letter."""

from pipeline.parsers.reader import Reader, Reading

__all__ = ["Reader", "Reading"]
