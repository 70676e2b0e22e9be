"""Tables and audio by content key, lineage, named refs, drop counts, export to other tools' formats."""
