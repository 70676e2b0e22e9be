"""Controlled ablations: arms from one base recipe, seeds, paired tests."""
