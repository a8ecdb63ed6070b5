"""Who may: programmes, members, ownership, rule packs, grants, credit, decisions, appeals, the drill."""
