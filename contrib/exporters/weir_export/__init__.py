"""What the exporters of weir's record share: see README.md beside this."""
