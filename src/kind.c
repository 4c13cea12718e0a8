/*-------------------------------------------------------------------------
 *
 * kind.c
 *	  What is known of each kind of leak: one row a kind.
 *
 * Pure: nothing here calls the server.  The rows are in the order of LeakKind,
 * which test/unit checks; verdict_applies() says which sessions a kind is of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "kind.h"

#define SETTINGS(stem) \
	.warn_setting = "leakwatch." stem "_warn", \
	.terminate_setting = "leakwatch." stem "_terminate"

#define MINUTE_MS	(60 * 1000)

static const KindInfo kinds[] =
{
	{
		.kind = KIND_IDLE_IN_TRANSACTION,
		.name = "idle_in_transaction",
		.phrase = "idle in transaction",
		.hint = "Commit or roll back on every path through the code, and before waiting for anything other than the database.",
		.sqlerrcode = ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
		.clock = SINCE_STATE,
		.shadowed_by = KIND_BIT(KIND_IDLE_BLOCKER),
		SETTINGS("idle_in_transaction"),
		.warn_boot = MINUTE_MS,
		.warn_text = "Reports a session that has been idle in a transaction for this long.",
		.terminate_text = "Terminates a session that has been idle in a transaction for this long.",
	},
	{
		.kind = KIND_ABORTED_TRANSACTION,
		.name = "aborted_transaction",
		.phrase = "idle in an aborted transaction",
		.hint = "A statement failed and the transaction was not rolled back: send ROLLBACK on every error path.",
		.sqlerrcode = ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
		.clock = SINCE_STATE,
		.shadowed_by = KIND_BIT(KIND_IDLE_BLOCKER),
		SETTINGS("aborted_transaction"),
		.warn_boot = MINUTE_MS,
		.warn_text = "Reports a session that has been idle in an aborted transaction for this long.",
		.terminate_text = "Terminates a session that has been idle in an aborted transaction for this long.",
	},
	{
		.kind = KIND_WAITING_FOR_CLIENT,
		.name = "waiting_for_client",
		.phrase = "waiting for its client within a statement",
		.hint = "The client has begun to send or to read and does not go on: read each result to its end or close it, end each pipeline with Sync and each COPY.",
		.sqlerrcode = ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
		.clock = SINCE_WAITING,
		.shadowed_by = KIND_BIT(KIND_IDLE_BLOCKER),
		SETTINGS("waiting_for_client"),
		.warn_boot = MINUTE_MS,
		.warn_text = "Reports a session that has waited for its client within a statement for this long.",
		.terminate_text = "Terminates a session that has waited for its client within a statement for this long.",
	},
	{
		.kind = KIND_IDLE_BLOCKER,
		.name = "idle_blocker",
		.phrase = "idle while others wait for its locks",
		.hint = "Give back what it locks before the connection is left alone: end the transaction, and release advisory locks.",
		.sqlerrcode = ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
		.clock = SINCE_BLOCKING,
		.shadowed_by = KIND_BIT(KIND_IDLE_IN_TRANSACTION) | KIND_BIT(KIND_ABORTED_TRANSACTION) |
		KIND_BIT(KIND_WAITING_FOR_CLIENT),
		SETTINGS("idle_blocker"),
		.warn_boot = MINUTE_MS / 2,
		.warn_text = "Reports a session that has been idle for this long while others wait for its locks.",
		.terminate_text = "Terminates a session that has been idle for this long while others wait for its locks.",
	},
	{
		.kind = KIND_SUSPECTED_LEAK,
		.name = "suspected_leak",
		.phrase = "idle and, as it seems, not in its pool",
		.hint = "Give the connection back to its pool on every path through the code, error paths included.",
		.sqlerrcode = ERRCODE_IDLE_SESSION_TIMEOUT,
		.clock = SINCE_STATE,
		.shadowed_by = KIND_BIT(KIND_IDLE_BLOCKER),
		SETTINGS("suspected_leak"),
		.warn_boot = MINUTE_MS,
		.warn_text = "Reports a session that has been idle for this long and that its pool would have used, had it been given back.",
		.terminate_text = "Terminates a session that has been idle for this long and that its pool would have used, had it been given back.",
	},
	{
		.kind = KIND_IDLE_SESSION,
		.name = "idle_session",
		.phrase = "idle",
		.hint = "The connection is held and not used: close it or return it to its pool, or let the pool keep fewer idle connections.",
		.sqlerrcode = ERRCODE_IDLE_SESSION_TIMEOUT,
		.clock = SINCE_STATE,
		.shadowed_by = KIND_BIT(KIND_IDLE_BLOCKER) | KIND_BIT(KIND_SUSPECTED_LEAK),
		SETTINGS("idle_session"),
		.warn_text = "Reports a session that has been idle outside a transaction for this long.",
		.terminate_text = "Terminates a session that has been idle outside a transaction for this long.",
	},
	{
		.kind = KIND_TRANSACTION,
		.name = "transaction",
		.phrase = "in a transaction",
		.hint = "Split the work into shorter transactions: as long as this one is open, VACUUM cannot remove rows that it may still see.",
		.sqlerrcode = COMPAT_ERRCODE_TRANSACTION_TIMEOUT,
		.clock = SINCE_TRANSACTION,
		.shadowed_by = KIND_BIT(KIND_IDLE_IN_TRANSACTION) | KIND_BIT(KIND_ABORTED_TRANSACTION) |
		KIND_BIT(KIND_WAITING_FOR_CLIENT) | KIND_BIT(KIND_IDLE_BLOCKER),
		SETTINGS("transaction"),
		.warn_boot = 30 * MINUTE_MS,
		.warn_text = "Reports a session whose transaction has been open for this long, whatever it does.",
		.terminate_text = "Terminates a session whose transaction has been open for this long.",
	},
	{
		.kind = KIND_SESSION,
		.name = "session",
		.phrase = "connected",
		.hint = "Let the connection pool replace its connections after a maximum lifetime.",
		.sqlerrcode = ERRCODE_IDLE_SESSION_TIMEOUT,
		.clock = SINCE_BACKEND,
		.shadowed_by = KIND_BIT(KIND_WAITING_FOR_CLIENT) | KIND_BIT(KIND_IDLE_SESSION) |
		KIND_BIT(KIND_IDLE_BLOCKER) | KIND_BIT(KIND_SUSPECTED_LEAK),
		SETTINGS("session"),
		.warn_text = "Reports a session that has been connected for this long.",
		.terminate_text = "Terminates a session that has been connected for this long.",
	},
	{
		.kind = KIND_PREPARED_TRANSACTION,
		.name = "prepared_transaction",
		.phrase = "prepared",
		.hint = "Finish it with COMMIT PREPARED or ROLLBACK PREPARED.",
		.sqlerrcode = ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
		.clock = SINCE_BACKEND,
		.warn_setting = "leakwatch.prepared_transaction_warn",
		.warn_boot = 5 * MINUTE_MS,
		.warn_text = "Reports a transaction that has been prepared for this long and not been finished.",
	},
};

StaticAssertDecl(lengthof(kinds) == NUM_ALL_KINDS, "a kind has no row, or more than one");

const KindInfo *
kind_info(LeakKind kind)
{
	return &kinds[kind];
}

const char *
kind_setting(LeakKind kind, bool terminates)
{
	const KindInfo *info = kind_info(kind);

	return terminates ? info->terminate_setting : info->warn_setting;
}
