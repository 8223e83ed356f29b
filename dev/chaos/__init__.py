"""Faults made with real means, while clients claim: killed, paused, cut off, full, lost. Each run ends in the checker."""
