"""Stores verified rows of a source or a stream in the journal: `replay_sources()`, `StreamIntake`, `JournalWriter`."""
