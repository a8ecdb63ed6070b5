"""The words everyone uses: the exchange record and the account, as tables and as files."""
