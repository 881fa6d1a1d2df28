"""What may be told of counts, so that they tell next to nothing of one person; pure.

Released counts (`walk`), noise of a cell (`cells`), told times (`times`), and how much of each (`policy`). Nothing
publishes by it yet: `api/privacy.py` is still the one door (law 11, one disclosure control).
"""
