"""Runs steps over tables on Daft, native or Ray: commits shards, resumes, counts drops, reports progress."""
