/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings: definitions, checks, and the words for their values.
 *
 * Owns the variables behind the GUCs, which only guc.c of the server writes.
 *
 * The policy settings belong to each session: their check hook hands
 * the source of the value on in "extra", and their assign hook publishes the
 * value in the session's slot if that source is more specific than the
 * configuration file and the server's command line.  PostgreSQL's own
 * precedence and its undoing of SET LOCAL thereby reach the watcher, and what
 * a session does not override is not in its slot, so that it follows the
 * watcher's configuration even if the session sleeps through a reload.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <limits.h>

#include "access/xact.h"
#include "control.h"
#include "guc.h"
#include "kind.h"
#include "protection.h"
#include "slot.h"
#include "use.h"

Policy		guc_policy;

char	   *guc_database = NULL;
int			guc_scan_interval;
int			guc_terminate_when;
int			guc_max_terminations_per_minute;
bool		guc_terminate_superusers;
bool		guc_terminate_active;
char	   *guc_protected_applications = NULL;
char	   *guc_protected_addresses = NULL;
int			guc_log_level;
int			guc_log_repeat;
int			guc_log_burst;
int			guc_prepared_transaction_warn;
int			guc_saturation_warn;
int			guc_saturation_forecast;
bool		guc_record_published;
int			guc_capture_query;
bool		guc_warn_client;
char	   *guc_notify_channel = NULL;
int			guc_retention;
int			guc_max_incidents;
int			guc_trail_length;

static const struct config_enum_entry mode_options[] = {
	{"off", MODE_OFF, false},
	{"observe", MODE_OBSERVE, false},
	{"enforce", MODE_ENFORCE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry terminate_when_options[] = {
	{"always", TERMINATE_ALWAYS, false},
	{"blocking", TERMINATE_BLOCKING, false},
	{"saturated", TERMINATE_SATURATED, false},
	{"blocking_or_saturated", TERMINATE_BLOCKING_OR_SATURATED, false},
	{NULL, 0, false}
};

/* It has been a Boolean, so the other spellings of that are taken too. */
static const struct config_enum_entry capture_query_options[] = {
	{"on", CAPTURE_ON, false},
	{"normalized", CAPTURE_NORMALIZED, false},
	{"off", CAPTURE_OFF, false},
	{"true", CAPTURE_ON, true},
	{"false", CAPTURE_OFF, true},
	{"yes", CAPTURE_ON, true},
	{"no", CAPTURE_OFF, true},
	{"1", CAPTURE_ON, true},
	{"0", CAPTURE_OFF, true},
	{NULL, 0, false}
};

/* Nothing from ERROR up: a message of the watcher must not end its scan. */
static const struct config_enum_entry log_level_options[] = {
	{"debug5", DEBUG5, false},
	{"debug4", DEBUG4, false},
	{"debug3", DEBUG3, false},
	{"debug2", DEBUG2, false},
	{"debug1", DEBUG1, false},
	{"debug", DEBUG2, true},
	{"info", INFO, false},
	{"notice", NOTICE, false},
	{"warning", WARNING, false},
	{"log", LOG, false},
	{NULL, 0, false}
};

/* Hand the source of a policy value on to its assign hook. */
static bool
pass_source(void **extra, GucSource source)
{
	GucSource  *passed = compat_guc_extra(sizeof(GucSource));

	if (passed == NULL)
		return false;
	*passed = source;
	*extra = passed;
	return true;
}

static bool
check_mode(int *newval, void **extra, GucSource source)
{
	return pass_source(extra, source);
}

static bool
check_server_limit(int *newval, void **extra, GucSource source)
{
	if (*newval == 0 || *newval >= MIN_LIMIT_MS)
		return true;
	GUC_check_errdetail("The shortest limit is %d ms; 0 switches a limit off.",
						MIN_LIMIT_MS);
	return false;
}

static bool
check_limit(int *newval, void **extra, GucSource source)
{
	return check_server_limit(newval, extra, source) && pass_source(extra, source);
}

/*
 * For how long the clock of this limit has been running, in ms: what depends on
 * the state of a session begins after the statement that sets the limit.
 */
static int64
limit_age(int index)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	switch (kind_info(POLICY_KIND(index))->clock)
	{
		case SINCE_TRANSACTION:
			return IsTransactionState() ? (now - GetCurrentTransactionStartTimestamp()) / 1000 : 0;
		case SINCE_BACKEND:
			return Max(now - MyStartTimestamp, 0) / 1000;
		default:
			return 0;
	}
}

/* Can a limit be met before the watcher would wake anyway? */
static bool
is_near(int index, int limit)
{
	return limit > 0 && limit - limit_age(index) < control_cadence();
}

/* Can any, now that this session is judged by another mode? */
static bool
is_any_near(int mode)
{
	for (int i = POLICY_MODE + 1; i < NUM_POLICY_VALUES && mode != MODE_OFF; i++)
	{
		if (is_near(i, guc_policy.value[i]))
			return true;
	}
	return false;
}

/* Publish a policy value of this session, and wake the watcher if that matters. */
static void
assign_policy(int index, int newval, const void *extra)
{
	GucSource	source = *(const GucSource *) extra;

	if (index == POLICY_WARN(KIND_SUSPECTED_LEAK))
		use_set_pace(newval);
	if (source <= PGC_S_ARGV)
		source = PGC_S_DEFAULT;
	if (slot_publish_value(index, newval, source) &&
		(index == POLICY_MODE ? is_any_near(newval) : is_near(index, newval)))
		control_wake(WATCHER);
}

static void
assign_mode(int newval, void *extra)
{
	assign_policy(POLICY_MODE, newval, extra);
}

/*
 * A pair of assign hooks for each kind, because a hook is not told its
 * setting.
 */
#define FOR_EACH_KIND(DO) \
	DO(idle_in_transaction, KIND_IDLE_IN_TRANSACTION) \
	DO(aborted_transaction, KIND_ABORTED_TRANSACTION) \
	DO(waiting_for_client, KIND_WAITING_FOR_CLIENT) \
	DO(idle_blocker, KIND_IDLE_BLOCKER) \
	DO(suspected_leak, KIND_SUSPECTED_LEAK) \
	DO(transaction, KIND_TRANSACTION) \
	DO(idle_session, KIND_IDLE_SESSION) \
	DO(session, KIND_SESSION)

#define DEFINE_HOOKS(name, kind) \
static void assign_##name##_warn(int newval, void *extra) \
{ \
	assign_policy(POLICY_WARN(kind), newval, extra); \
} \
static void assign_##name##_terminate(int newval, void *extra) \
{ \
	assign_policy(POLICY_TERMINATE(kind), newval, extra); \
}

#define LIST_HOOKS(name, kind) \
	{kind, assign_##name##_warn, assign_##name##_terminate},

FOR_EACH_KIND(DEFINE_HOOKS)

static const struct
{
	LeakKind	kind;
	GucIntAssignHook warn;
	GucIntAssignHook terminate;
}			kind_hooks[] =

{
	FOR_EACH_KIND(LIST_HOOKS)
};

StaticAssertDecl(lengthof(kind_hooks) == NUM_KINDS, "a kind has no assign hooks");

static bool
check_database(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0')
	{
		GUC_check_errdetail("The name of the database that incidents are recorded in must not be empty.");
		return false;
	}
	if (strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("A database name is at most %d bytes long.", NAMEDATALEN - 1);
		return false;
	}
	return true;
}

/*
 * The name of a channel is compared byte by byte, by sessions in databases of
 * any encoding.
 */
static bool
check_notify_channel(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("A channel name is at most %d bytes long.", NAMEDATALEN - 1);
		GUC_check_errhint("Choose a short name, such as \"leakwatch\", and LISTEN on it.");
		return false;
	}
	for (const char *c = *newval; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c > '~' || *c == ',')
		{
			GUC_check_errdetail("A channel name consists of ASCII characters without spaces and commas.");
			GUC_check_errhint("There is one channel; the database that \"leakwatch.database\" names is where to LISTEN on it.");
			return false;
		}
	}
	return true;
}

static void
define_limit(const char *name, int index, int boot_value, const char *what,
			 GucIntAssignHook assign)
{
	DefineCustomIntVariable(name, what,
							"Zero disables this limit.",
							&guc_policy.value[index],
							boot_value, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS,
							check_limit, assign, NULL);
}

/* What is judged, by which limits, for each session its own. */
static void
define_policy(void)
{
	DefineCustomEnumVariable("leakwatch.mode",
							 "Sets what leakwatch does about a session over a limit.",
							 "\"off\": the session is not judged. \"observe\": it is recorded and warned about, and its termination is only announced. \"enforce\": it is terminated too.",
							 &guc_policy.value[POLICY_MODE],
							 MODE_OBSERVE, mode_options,
							 PGC_SUSET, 0,
							 check_mode, assign_mode, NULL);

	for (int i = 0; i < lengthof(kind_hooks); i++)
	{
		LeakKind	kind = kind_hooks[i].kind;
		const KindInfo *info = kind_info(kind);

		define_limit(info->warn_setting, POLICY_WARN(kind), info->warn_boot, info->warn_text,
					 kind_hooks[i].warn);
		define_limit(info->terminate_setting, POLICY_TERMINATE(kind), info->terminate_boot,
					 info->terminate_text, kind_hooks[i].terminate);
	}
}

/* The one limit of what belongs to no session. */
static void
define_prepared(void)
{
	const KindInfo *info = kind_info(KIND_PREPARED_TRANSACTION);

	DefineCustomIntVariable(info->warn_setting, info->warn_text,
							"Zero disables this limit.",
							&guc_prepared_transaction_warn,
							info->warn_boot, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							check_server_limit, NULL, NULL);
}

/* How often to look, and where to record. */
static void
define_recording(void)
{
	DefineCustomStringVariable("leakwatch.database",
							   "Sets the database that incidents are recorded in.",
							   "The extension has to be created there.",
							   &guc_database,
							   "postgres",
							   PGC_SIGHUP, 0,
							   check_database, NULL, NULL);

	DefineCustomBoolVariable("leakwatch.record_published",
							 "Records incidents also where a publication FOR ALL TABLES sends them to subscribers.",
							 "Subscribers that do not have the tables of the extension stop at the first row of them.",
							 &guc_record_published,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.scan_interval",
							"Sets the longest time between two scans.",
							"The watcher wakes when a session may meet a limit, an incident is to be followed, or something is to be said, so a longer interval makes it late for none of these.",
							&guc_scan_interval,
							10000, 50, 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.retention",
							"Sets how long ended incidents are kept.",
							"Zero keeps them for ever.",
							&guc_retention,
							30 * 24 * 60 * 60, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
}

/* Whom to terminate. */
static void
define_termination(void)
{
	DefineCustomEnumVariable("leakwatch.terminate_when",
							 "Sets the condition under which sessions over a terminate limit are terminated.",
							 "\"always\". \"blocking\": only while other sessions wait for its locks. \"saturated\": only while connections in use are at or over leakwatch.saturation_warn, and no more than brings them below it. Or \"blocking_or_saturated\".",
							 &guc_terminate_when,
							 TERMINATE_ALWAYS, terminate_when_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.max_terminations_per_minute",
							"Sets how many sessions are terminated in one minute at most.",
							"Zero disables this brake.",
							&guc_max_terminations_per_minute,
							60, 0, INT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("leakwatch.terminate_superusers",
							 "Terminates sessions of superusers too.",
							 NULL,
							 &guc_terminate_superusers,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("leakwatch.terminate_active",
							 "Terminates sessions that are running a statement too.",
							 "This concerns the limits on transactions and on sessions.",
							 &guc_terminate_active,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("leakwatch.protected_applications",
							   "Lists the application names whose sessions are never terminated.",
							   "In each, \"*\" stands for any characters and \"?\" for one. Clients choose their own names, so this protects from accidents only.",
							   &guc_protected_applications,
							   "pg_dump*, pg_restore*, pg_basebackup*, pgBackRest*, barman*, pg_probackup*, pg_repack*, pgcopydb*, Debezium*",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   protection_check_applications,
							   protection_assign_applications, NULL);

	DefineCustomStringVariable("leakwatch.protected_addresses",
							   "Lists the client addresses, in CIDR notation, whose sessions are never terminated.",
							   NULL,
							   &guc_protected_addresses,
							   "",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   protection_check_addresses,
							   protection_assign_addresses, NULL);
}

/* What to say, and to whom. */
static void
define_messages(void)
{
	DefineCustomEnumVariable("leakwatch.log_level",
							 "Sets the level of the messages about incidents.",
							 NULL,
							 &guc_log_level,
							 WARNING, log_level_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.log_repeat",
							"Sets how long an incident stays open before it is warned about again.",
							"The time doubles with each repetition. Zero disables repetition.",
							&guc_log_repeat,
							10 * 60, 0, INT_MAX / 1000,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.log_burst",
							"Sets how many messages about incidents are written within a second at most.",
							"The rest is summed up in one line by cause.",
							&guc_log_burst,
							20, 0, INT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("leakwatch.capture_query",
							 "Sets how much of the statements of a reported session is shown.",
							 "\"on\": their text. \"normalized\": their text without constants and comments. \"off\": no statement text gets into the log, the views or the table.",
							 &guc_capture_query,
							 CAPTURE_ON, capture_query_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("leakwatch.warn_client",
							 "Tells a client that its session has been reported.",
							 "It gets a warning with the next statement that the session executes.",
							 &guc_warn_client,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("leakwatch.notify_channel",
							   "Sets the channel that is notified of each incident that is opened or ended.",
							   "Listeners get a JSON object, without statement text. Empty disables this.",
							   &guc_notify_channel,
							   "",
							   PGC_SIGHUP, 0,
							   check_notify_channel, NULL, NULL);
}

/* When connections run out. */
static void
define_saturation(void)
{
	DefineCustomIntVariable("leakwatch.saturation_warn",
							"Sets at how many percent of the connections in use it is warned that they run out.",
							"Of those that ordinary roles can have, and of the CONNECTION LIMIT of each database and role. Zero disables this warning.",
							&guc_saturation_warn,
							90, 0, 100,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.saturation_forecast",
							"Sets how long before connections are used up it is warned that they will be.",
							"Their use of the last three hours at the most is what it is told from. Zero disables this warning.",
							&guc_saturation_forecast,
							30 * 60, 0, 24 * 60 * 60,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
}

/*
 * Define all settings that can be changed while the server runs.
 */
void
guc_define(void)
{
	define_policy();
	define_prepared();
	define_recording();
	define_termination();
	define_messages();
	define_saturation();
}

/*
 * Define those that size shared memory, which is possible only while the
 * postmaster preloads.
 */
void
guc_define_postmaster(void)
{
	DefineCustomIntVariable("leakwatch.max_incidents",
							"Sets for how many incidents there is room in shared memory.",
							"These are the open ones and those not written to the table yet. Zero makes it twice max_connections.",
							&guc_max_incidents,
							0, 0, 1000000,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("leakwatch.trail_length",
							"Sets how many statements of its transaction a session remembers.",
							"Those that changed something and the newest come first. Zero disables the trail.",
							&guc_trail_length,
							5, 0, 100,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("leakwatch");
}

static const char *
option_name(const struct config_enum_entry *options, int value)
{
	for (; options->name != NULL; options++)
	{
		if (options->val == value)
			return options->name;
	}
	return "unknown";
}

const char *
guc_mode_name(PolicyMode mode)
{
	return option_name(mode_options, mode);
}

const char *
guc_terminate_when_name(TerminateWhen when)
{
	return option_name(terminate_when_options, when);
}

/* Where a policy value comes from, as the sessions view says it. */
const char *
guc_source_name(GucSource source)
{
	switch (source)
	{
		case PGC_S_GLOBAL:
			return "all roles";
		case PGC_S_DATABASE:
			return "database";
		case PGC_S_USER:
			return "role";
		case PGC_S_DATABASE_USER:
			return "role in database";
		case PGC_S_CLIENT:
			return "client";
		case PGC_S_OVERRIDE:
		case PGC_S_INTERACTIVE:
		case PGC_S_TEST:
		case PGC_S_SESSION:
			return "session";
		default:
			return "server";
	}
}
