/*-------------------------------------------------------------------------
 *
 * census.h
 *	  Reading the server's prepared transactions, in the recorder.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_CENSUS_H
#define LEAKWATCH_CENSUS_H

extern void census_take(bool with_table);

#endif							/* LEAKWATCH_CENSUS_H */
