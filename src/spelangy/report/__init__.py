"""HTML reports, from stored artefacts only."""
