"""The adaptive attacker: what is the cheapest campaign that these controls let through?

`attack` (the knobs an attacker turns) -> `background` (honest customers, made once) -> `campaign` and `trial` (one
attack against detector and response) -> `search` (the cheapest that gets through) -> `assess` (against each control).

Every figure is simulated and holds against this attacker only: the knobs of `CampaignSpec`, its prices, this budget
of search. A cleverer attacker pays less, so a multiplier found here is an upper bound on what the controls achieve.
"""
