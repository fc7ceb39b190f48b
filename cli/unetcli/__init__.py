"""The two command lines, unetprep and unettrain. The only place that knows click."""
