"""From bytes of exports and stream records to verified rows ready for COPY: `kernel.decode()`."""
