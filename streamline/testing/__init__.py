"""What tests of Streamline, of its plugins and of programs that use it can build on."""
