"""The doctor: checks of everything that Strandline rests on, each with what to do about it. It reads no payload."""
