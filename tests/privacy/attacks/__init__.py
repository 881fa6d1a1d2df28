"""What somebody with a read key and twenty devices tries, to learn of one device what is published of all."""
