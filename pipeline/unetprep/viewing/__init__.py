"""Viewer of a store in a web browser: which layers are shown, and the local server of their pixels."""
