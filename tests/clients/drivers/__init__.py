"""Each client library behind the same few steps, so that one suite asks the same of all of them."""
