"""The craft: series, cells, training, evaluation, bundle, registry. Knows no HTTP, no environment, no clock."""
