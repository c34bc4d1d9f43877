"""The contract that a read model's author writes against, and how projections are found: `definition`, `discovery`."""
