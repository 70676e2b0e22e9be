"""Runs a step over a table on Daft: native on one machine, Ray on a cluster; commits shards, resumes, reports progress."""
