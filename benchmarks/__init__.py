"""What Packshot costs and how fast it is, measured."""
