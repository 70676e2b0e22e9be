"""One small Protocol per model role (`protocols`), the adapters behind it, and where weights come from (`weights`)."""
