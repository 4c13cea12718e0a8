/*-------------------------------------------------------------------------
 *
 * local.h
 *	  How variables are declared that every statement passes by.
 *
 * To any other variable that a header declares, the compiler goes by way of a
 * table, because another library might bring it along.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_LOCAL_H
#define LEAKWATCH_LOCAL_H

#define LEAKWATCH_LOCAL __attribute__((visibility("hidden")))

#endif							/* LEAKWATCH_LOCAL_H */
