"""Evidence: what responses say about accounts, from one reading to the snapshot of all accounts. Pure."""
