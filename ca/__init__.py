"""Issue, remember, revoke: a certification authority that knows neither SCEP nor HTTP."""
