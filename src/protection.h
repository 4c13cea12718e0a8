/*-------------------------------------------------------------------------
 *
 * protection.h
 *	  The lists of applications and addresses that are never terminated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_PROTECTION_H
#define LEAKWATCH_PROTECTION_H

#include <sys/socket.h>

#include "utils/guc.h"

extern bool protection_check_applications(char **newval, void **extra, GucSource source);
extern void protection_assign_applications(const char *newval, void *extra);
extern bool protection_check_addresses(char **newval, void **extra, GucSource source);
extern void protection_assign_addresses(const char *newval, void *extra);

extern bool protection_application(const char *application_name);
extern bool protection_address(const struct sockaddr *address, Size size);

#endif							/* LEAKWATCH_PROTECTION_H */
