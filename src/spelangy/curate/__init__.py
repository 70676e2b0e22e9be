"""Recordings → turns → hypotheses → ROVER words → scores → chunks."""
