"""Sigma correlations on event time: the reader, the contributions that matches make, and the fold that judges them."""
