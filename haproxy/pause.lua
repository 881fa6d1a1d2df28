-- HAProxy 2.6 has no action that waits: lua.pause waits txn.pause milliseconds. Loaded only with FAULTS=true.
core.register_action("pause", { "http-req" }, function(txn) core.msleep(txn:get_var("txn.pause")) end)
