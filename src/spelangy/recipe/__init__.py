"""A recipe file, checked, and the whole path it stands for: every room's steps strung into one pipeline."""
