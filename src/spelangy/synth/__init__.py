"""Web pages → Krist and Quest scripts → spoken chunks."""
