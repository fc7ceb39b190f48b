"""Training and prediction, compared with plain loops over the same layers and with other libraries."""
