"""Indicators of compromise: typed observables, an index of indicators, and the feeds that bring them."""
