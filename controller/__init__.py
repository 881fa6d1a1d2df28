"""Versions side by side: applies the rules of who gets which in HAProxy, walks canaries, and puts faults on purpose."""
