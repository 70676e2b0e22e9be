"""The speech LM: vocabulary, loss, training loop, checkpoints, generation."""
