"""Postgres: sessions, turns and transcripts.

Every transaction that changes a session locks the session's row first, and nothing before it;
so two of them cannot deadlock, and what one reads under the lock stays true until it commits.
"""
