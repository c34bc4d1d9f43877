"""The long-running consumer: KCL's daemon takes QLDB's stream in, projectors run beside it."""
