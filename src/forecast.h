/*-------------------------------------------------------------------------
 *
 * forecast.h
 *	  When connections will be used up, if it goes on like this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEAKWATCH_FORECAST_H
#define LEAKWATCH_FORECAST_H

/*
 * Use a minute is looked at by its floors: the least of each ten minutes.
 * Nothing is said before there are so many floors, and the oldest of more than
 * so many is forgotten.
 */
#define FORECAST_BLOCK		10
#define FORECAST_MIN_BLOCKS	6
#define FORECAST_MAX_BLOCKS	18
#define FORECAST_WINDOW		(FORECAST_BLOCK * FORECAST_MAX_BLOCKS)

typedef struct Forecast
{
	double		growth;			/* connections a minute; 0: none that lasts */
	int			minutes;		/* until they are used up; -1: not in sight */
} Forecast;

extern Forecast forecast_use(const int *used, int count, int limit);

#endif							/* LEAKWATCH_FORECAST_H */
