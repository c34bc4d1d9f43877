"""Makes blocks, exports and scrubbed copies: `block.BlockMaker`, `export.ExportWriter`, `scrub.scrub()`."""
