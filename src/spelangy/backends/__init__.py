"""One small Protocol per model role (`protocols`), the adapters behind it, and where their weights come from (`weights`)."""
