"""What the compose file needs beside the services: secrets at the first start, and a welcome at each."""
