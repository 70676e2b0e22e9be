"""Speech and text tokens: trains and applies tokenizers, interleaves, packs."""
