"""The pi extension: its renderer, its types and format, and its code run in a real Node."""
