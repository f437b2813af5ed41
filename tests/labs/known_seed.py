"""The seed from which the labs' tests draw: known, so that a failure can be seen again."""

SEED = b"a seed known to the tests alone!"
