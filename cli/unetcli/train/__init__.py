"""Command line `unettrain`: train on a store, predict, score, report."""
