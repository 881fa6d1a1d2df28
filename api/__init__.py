"""What people and programs see: zones, occupancy now and over time as REST, and the live map."""
