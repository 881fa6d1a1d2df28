"""How HAProxy shares connections and messages among 1, 2 and 4 broker nodes, when one dies, and when one comes."""
