"""The gateway's decision for gateways of others: Envoy asks by ext_authz, LiteLLM by a hook, and theirs forward."""
