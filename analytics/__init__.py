"""What becomes of the lake: visits, flows, typical weeks and forecasts. One definition of each, in SQL or in Python."""
