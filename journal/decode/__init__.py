"""Turns the bytes of exports and stream records into verified rows ready for COPY: `kernel.decode()`."""
