"""From a source or a stream to verified rows in the journal store: `replay.take_in()`, `JournalWriter`."""
