/*-------------------------------------------------------------------------
 *
 * listen.h
 *	  Whether this session listens for notifications.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LISTEN_H
#define LEAKWATCH_LISTEN_H

#include "nodes/nodes.h"

extern void listen_note(const Node *statement);

#endif							/* LEAKWATCH_LISTEN_H */
