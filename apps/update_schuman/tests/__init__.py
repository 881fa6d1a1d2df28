"""What its versions say."""
