"""Passwords that take no half second each to make: of what Django keeps one round, which every process can check."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneRound(PBKDF2PasswordHasher):
    iterations = 1
