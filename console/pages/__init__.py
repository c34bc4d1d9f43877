"""One module a page: each function returns a `Page`, which is the HTML of a template and the JSON of the same data."""
