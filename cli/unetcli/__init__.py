"""The command lines unetprep and unettrain; the only package that imports click."""
