"""Hunts: what is known today asked of the past, with the matcher and the ids of the stream."""

from pipeline.hunts.hunt import HuntProgress, HuntSummary, hunt

__all__ = ["HuntProgress", "HuntSummary", "hunt"]
