"""Detectors of our own, where Sigma has no words: what is new, more than usual, too far away, or missing."""
