"""Files of web pages to `Page` records: which addresses, which text of them, one part of a file at a time."""
