"""Methods: what is trained, each by a function train(splits, seed, seconds, build, **options) -> Trained."""
