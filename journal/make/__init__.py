"""Makes blocks, exports and scrubbed copies: `block.BlockMaker`."""
