"""What may be told of counts, so that they tell next to nothing of one person; pure.

Released counts (`walk`), told times (`times`), and how much of each (`policy`).
"""
