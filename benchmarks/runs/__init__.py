"""What a run costs, end to end: `make bench`."""
