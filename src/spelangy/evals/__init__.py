"""Spoken question answering by log-likelihood, its controls and its statistics."""
