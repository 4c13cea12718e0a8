/*-------------------------------------------------------------------------
 *
 * prepared.h
 *	  The server's prepared transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PREPARED_H
#define LEAKWATCH_PREPARED_H

#include "access/xact.h"
#include "datatype/timestamp.h"

/* One of them, as pg_prepared_xacts has it. */
typedef struct PreparedTransaction
{
	TransactionId xid;
	Oid			owner;
	Oid			database;
	TimestampTz prepared_at;
	char		gid[GIDSIZE];	/* in the encoding of its database */

	/*
	 * Of an open row in the table, which was written before the server
	 * started: when it was found, and last warned about.  0: there is none.
	 */
	TimestampTz detected_at;
	TimestampTz warned_at;
} PreparedTransaction;

/* All of them, in order of their numbers. */
typedef struct PreparedList
{
	TimestampTz read_at;		/* any that is missing was prepared later; 0:
								 * nobody has read yet */
	int			count;
	PreparedTransaction transaction[FLEXIBLE_ARRAY_MEMBER];
} PreparedList;

extern Size prepared_shmem_size(void);
extern void prepared_shmem_init(void);

/* Anybody's. */
extern TransactionId prepared_xid(int place);
extern int	prepared_place(uint32 vxid_owner, uint32 lxid);
extern int	prepared_count(TimestampTz *oldest);
extern PreparedList *prepared_new_list(void);
extern uint32 prepared_version(void);
extern bool prepared_copy(PreparedList *list);
extern const PreparedTransaction *prepared_find(const PreparedList *list, TransactionId xid);
extern void prepared_want(void);
extern bool prepared_is_wanted(void);

/* The watcher's. */
extern void prepared_set_oldest(TimestampTz oldest);

/* The recorder's. */
extern void prepared_take_wanted(void);
extern void prepared_publish(PreparedList *list);

#endif							/* LEAKWATCH_PREPARED_H */
