"""How many were where: windows of the past, hour by hour or summed up."""
