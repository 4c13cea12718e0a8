/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings: definitions, checks, and the words for their values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_GUC_H
#define LEAKWATCH_GUC_H

#include "local.h"
#include "policy.h"
#include "utils/guc.h"

/* How much of statements is kept: leakwatch.capture_query. */
typedef enum Capture
{
	CAPTURE_OFF,				/* nothing, and so false */
	CAPTURE_NORMALIZED,			/* all but values */
	CAPTURE_ON
} Capture;

/* This process's own policy: for the watcher, that of the server. */
extern Policy guc_policy;

extern char *guc_database;
extern int	guc_scan_interval;	/* ms */
extern int	guc_terminate_when;
extern int	guc_max_terminations_per_minute;	/* 0: no brake */
extern bool guc_terminate_superusers;
extern bool guc_terminate_active;
extern char *guc_protected_applications;
extern char *guc_protected_addresses;
extern int	guc_log_level;
extern int	guc_log_repeat;		/* s, 0: once */
extern int	guc_log_burst;
extern int	guc_prepared_transaction_warn;	/* ms, 0: off */
extern int	guc_saturation_warn;	/* percent, 0: off */
extern int	guc_saturation_forecast;	/* s, 0: off */
extern bool guc_record_published;
extern LEAKWATCH_LOCAL int guc_capture_query;
extern bool guc_warn_client;
extern char *guc_notify_channel;	/* empty: off */
extern int	guc_retention;		/* s, 0: for ever */
extern int	guc_max_incidents;	/* 0: from max_connections */
extern LEAKWATCH_LOCAL int guc_trail_length;	/* 0: off */

extern void guc_define(void);
extern void guc_define_postmaster(void);

extern const char *guc_mode_name(PolicyMode mode);
extern const char *guc_terminate_when_name(TerminateWhen when);
extern const char *guc_source_name(GucSource source);

#endif							/* LEAKWATCH_GUC_H */
