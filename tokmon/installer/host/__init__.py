"""Root's part: the members of a host, and each member's own part, run as that member."""
