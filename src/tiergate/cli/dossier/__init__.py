"""A dossier's pages, HTML and PDF, made of the blocks that `response.dossier` composes."""
