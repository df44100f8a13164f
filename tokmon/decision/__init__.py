"""The one place that decides: the policy, the decision, the file that the hook reads."""
