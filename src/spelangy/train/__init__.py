"""The speech LM: model, loss, training loop, checkpoints, generation."""
