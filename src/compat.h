/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the supported PostgreSQL versions.
 *
 * This is the only file with a test on PG_VERSION_NUM.  Where versions
 * differ, the newest server's form is adopted and the older ones are made to
 * look like it.  Include it after postgres.h and before anything else of
 * leakwatch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_COMPAT_H
#define LEAKWATCH_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "leakwatch needs PostgreSQL 15 or newer"
#endif
#if PG_VERSION_NUM >= 200000
#error "this leakwatch knows PostgreSQL up to 19"
#endif

#include "commands/progress.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/scanner.h"
#include "postmaster/postmaster.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM < 190000
#include "commands/dbcommands.h"	/* get_database_name() */
#else
#include "utils/lsyscache.h"
#endif
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"
#include "storage/sinvaladt.h"	/* BackendIdGetProc() */
#endif

/* 18 lets a module tell its name and version to pg_get_loaded_modules() */
#if PG_VERSION_NUM >= 180000
#define LEAKWATCH_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "leakwatch", .version = LEAKWATCH_VERSION)
#else
#define LEAKWATCH_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/*
 * Index of this process in the backend status array and so in ours, from 0;
 * -1 for a process that has none or is no backend (an auxiliary process).
 * Until 16 that is the backend ID, which counts from 1; from 17 on it is the
 * process number.
 */
static inline int
compat_my_slot(void)
{
#if PG_VERSION_NUM < 170000
	return MyBackendId == InvalidBackendId ? -1 : MyBackendId - 1;
#else
	return MyProcNumber >= 0 && MyProcNumber < MaxBackends ? MyProcNumber : -1;
#endif
}

/* The same for another process: -1 where the entry is unused or auxiliary. */
static inline int
compat_proc_slot(const PGPROC *proc)
{
#if PG_VERSION_NUM < 170000
	BackendId	id = proc->backendId;

	return id >= 1 && id <= MaxBackends ? id - 1 : -1;
#else
	int			number = GetNumberFromPGProc(proc);

	return number < MaxBackends ? number : -1;
#endif
}

/*
 * The process in a slot, or NULL.  It may be gone a moment later; the memory
 * is there for good.
 */
static inline PGPROC *
compat_slot_proc(int slot)
{
#if PG_VERSION_NUM < 170000
	return BackendIdGetProc(slot + 1);
#else
	return GetPGProcByNumber(slot);
#endif
}

/* The two numbers of the transaction that a process is in; lxid 0 outside one. */
static inline uint32
compat_proc_lxid(const volatile PGPROC *proc)
{
#if PG_VERSION_NUM < 170000
	return proc->lxid;
#else
	return proc->vxid.lxid;
#endif
}

static inline uint32
compat_proc_vxid_owner(const volatile PGPROC *proc)
{
#if PG_VERSION_NUM < 170000
	return proc->backendId;
#else
	return proc->vxid.procNumber;
#endif
}

/* The same two of the holder of a lock, as the lock tables tell them. */
#if PG_VERSION_NUM < 170000
#define compat_lock_vxid_owner(instance)	((uint32) (instance)->backend)
#define compat_lock_lxid(instance)			((instance)->lxid)
#else
#define compat_lock_vxid_owner(instance)	((uint32) (instance)->vxid.procNumber)
#define compat_lock_lxid(instance)			((instance)->vxid.localTransactionId)
#endif

/* 19 tells writing a commit record from all else that delays a checkpoint. */
#ifdef DELAY_CHKPT_IN_COMMIT
#define COMPAT_DELAY_CHKPT_IN_COMMIT	DELAY_CHKPT_IN_COMMIT
#else
#define COMPAT_DELAY_CHKPT_IN_COMMIT	DELAY_CHKPT_START
#endif

/* In 19 CLUSTER and VACUUM FULL are forms of REPACK. */
#if PG_VERSION_NUM < 190000
#define PROGRESS_COMMAND_REPACK				PROGRESS_COMMAND_CLUSTER
#define PROGRESS_REPACK_COMMAND				PROGRESS_CLUSTER_COMMAND
#define PROGRESS_REPACK_PHASE				PROGRESS_CLUSTER_PHASE
#define PROGRESS_REPACK_TOTAL_HEAP_BLKS		PROGRESS_CLUSTER_TOTAL_HEAP_BLKS
#define PROGRESS_REPACK_HEAP_BLKS_SCANNED	PROGRESS_CLUSTER_HEAP_BLKS_SCANNED
#define PROGRESS_REPACK_PHASE_SEQ_SCAN_HEAP	PROGRESS_CLUSTER_PHASE_SEQ_SCAN_HEAP
#define PROGRESS_REPACK_PHASE_INDEX_SCAN_HEAP	PROGRESS_CLUSTER_PHASE_INDEX_SCAN_HEAP
#define PROGRESS_REPACK_PHASE_SORT_TUPLES	PROGRESS_CLUSTER_PHASE_SORT_TUPLES
#define PROGRESS_REPACK_PHASE_WRITE_NEW_HEAP	PROGRESS_CLUSTER_PHASE_WRITE_NEW_HEAP
#define PROGRESS_REPACK_PHASE_SWAP_REL_FILES	PROGRESS_CLUSTER_PHASE_SWAP_REL_FILES
#define PROGRESS_REPACK_PHASE_REBUILD_INDEX	PROGRESS_CLUSTER_PHASE_REBUILD_INDEX
#define PROGRESS_REPACK_PHASE_FINAL_CLEANUP	PROGRESS_CLUSTER_PHASE_FINAL_CLEANUP
#define COMPAT_REPACK_COMMANDS \
	[PROGRESS_CLUSTER_COMMAND_CLUSTER] = "CLUSTER", \
	[PROGRESS_CLUSTER_COMMAND_VACUUM_FULL] = "VACUUM FULL"
#define COMPAT_REPACK_MORE_PHASES
#else
#define COMPAT_REPACK_COMMANDS \
	[REPACK_COMMAND_CLUSTER] = "CLUSTER", \
	[REPACK_COMMAND_REPACK] = "REPACK", \
	[REPACK_COMMAND_VACUUMFULL] = "VACUUM FULL"
#define COMPAT_REPACK_MORE_PHASES \
	[PROGRESS_REPACK_PHASE_CATCH_UP] = "catching up",
#endif

/*
 * Connections that ordinary roles cannot have: 16 keeps some for the members
 * of pg_use_reserved_connections too.
 */
static inline int
compat_reserved_connections(void)
{
#if PG_VERSION_NUM < 160000
	return ReservedBackends;
#else
	return SuperuserReservedConnections + ReservedConnections;
#endif
}

/*
 * Memory for the "extra" of a GUC check hook, which guc.c frees.  NULL when
 * there is none, and the hook then has to return false.
 */
static inline void *
compat_guc_extra(Size size)
{
#if PG_VERSION_NUM < 160000
	return malloc(size);
#else
	return guc_malloc(LOG, size);
#endif
}

/*
 * 19 keeps what a jsonb value is being built from and the value in one
 * struct; before, the value comes out of the last call.
 */
#if PG_VERSION_NUM < 190000
typedef struct CompatJsonb
{
	JsonbParseState *parseState;
	JsonbValue *result;
} CompatJsonb;
#else
typedef JsonbInState CompatJsonb;
#endif

static inline void
compat_push_jsonb(CompatJsonb *state, JsonbIteratorToken token, JsonbValue *value)
{
#if PG_VERSION_NUM < 190000
	state->result = pushJsonbValue(&state->parseState, token, value);
#else
	pushJsonbValue(state, token, value);
#endif
}

/*
 * Have the lexer take backslashes in '...' as they are, whatever the setting of
 * this process says; 19 does no other.
 */
static inline void
compat_scan_standard(core_yy_extra_type *extra pg_attribute_unused())
{
#if PG_VERSION_NUM < 190000
	extra->standard_conforming_strings = true;
	extra->escape_string_warning = false;
#endif
}

/* 17 lets an extension name what its processes wait for. */
static inline uint32
compat_wait_event(const char *name pg_attribute_unused())
{
#if PG_VERSION_NUM < 170000
	return PG_WAIT_EXTENSION;
#else
	return WaitEventExtensionNew(name);
#endif
}

/* A line of memory is about to be read, where the compiler can say so. */
#ifdef __GNUC__
#define compat_prefetch(address) __builtin_prefetch(address)
#else
#define compat_prefetch(address) ((void) (address))
#endif

/* 18 writes it before the declaration and drops the form after it. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* transaction_timeout came with 17, and its SQLSTATE with it. */
#if PG_VERSION_NUM >= 170000
#define COMPAT_ERRCODE_TRANSACTION_TIMEOUT ERRCODE_TRANSACTION_TIMEOUT
#else
#define COMPAT_ERRCODE_TRANSACTION_TIMEOUT ERRCODE_QUERY_CANCELED
#endif

#endif							/* LEAKWATCH_COMPAT_H */
