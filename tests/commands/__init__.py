"""Tests of the verbs, as a person or a script meets them."""
