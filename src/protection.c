/*-------------------------------------------------------------------------
 *
 * protection.c
 *	  The lists of applications and addresses that are never terminated.
 *
 * Owns the two parsed lists, private to each process: the check hooks parse
 * into the GUC's "extra", the assign hooks put it in force.  A list that is
 * empty or does not match protects nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <arpa/inet.h>

#include "catalog/pg_collation.h"
#include "libpq/ifaddr.h"
#include "protection.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

/* Patterns for LIKE, one after the other, each with its NUL. */
typedef struct ApplicationList
{
	int			count;
	char		patterns[FLEXIBLE_ARRAY_MEMBER];
} ApplicationList;

typedef struct Network
{
	struct sockaddr_storage address;
	struct sockaddr_storage mask;
} Network;

typedef struct NetworkList
{
	int			count;
	Network		networks[FLEXIBLE_ARRAY_MEMBER];
} NetworkList;

static const ApplicationList *applications = NULL;
static const NetworkList *networks = NULL;

/*
 * Split a list into *elements; the caller frees *copy and *elements in any
 * case.
 */
static bool
split_list(const char *value, const char *what, char **copy, List **elements)
{
	*copy = pstrdup(value);
	if (SplitGUCList(*copy, ',', elements))
		return true;

	GUC_check_errdetail("List syntax is invalid: separate the %s with commas, and put one that has a space or a comma in it in double quotes.",
						what);
	return false;
}

/*
 * The server keeps application names printable ASCII and shorter than a
 * name, so a pattern that is not can only be a mistake.
 */
static bool
check_pattern(const char *pattern)
{
	if (*pattern == '\0')
	{
		GUC_check_errdetail("A pattern is empty.");
		return false;
	}
	if (strlen(pattern) >= NAMEDATALEN)
	{
		GUC_check_errdetail("Pattern \"%s\" is longer than an application name can be, which is %d bytes.",
							pattern, NAMEDATALEN - 1);
		return false;
	}
	for (const char *c = pattern; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
		{
			GUC_check_errdetail("Pattern \"%s\" has a character that is not printable ASCII, as every character of an application name is.",
								pattern);
			return false;
		}
	}
	return true;
}

/* Write a pattern with * and ? as one for LIKE; returns its end. */
static char *
like_pattern(char *like, const char *pattern)
{
	for (; *pattern != '\0'; pattern++)
	{
		switch (*pattern)
		{
			case '*':
				*like++ = '%';
				break;
			case '?':
				*like++ = '_';
				break;
			case '%':
			case '_':
			case '\\':
				*like++ = '\\';
				*like++ = *pattern;
				break;
			default:
				*like++ = *pattern;
		}
	}
	*like++ = '\0';
	return like;
}

bool
protection_check_applications(char **newval, void **extra, GucSource source)
{
	char	   *copy;
	List	   *elements;
	ListCell   *lc;
	bool		ok = split_list(*newval, "patterns", &copy, &elements);
	Size		size = offsetof(ApplicationList, patterns);

	if (ok)
	{
		foreach(lc, elements)
		{
			ok = ok && check_pattern(lfirst(lc));
			size += 2 * strlen(lfirst(lc)) + 1;
		}
	}
	if (ok)
	{
		ApplicationList *list = compat_guc_extra(size);

		ok = (list != NULL);
		if (ok)
		{
			char	   *end = list->patterns;

			list->count = list_length(elements);
			foreach(lc, elements)
				end = like_pattern(end, lfirst(lc));
			*extra = list;
		}
	}
	list_free(elements);
	pfree(copy);
	return ok;
}

void
protection_assign_applications(const char *newval, void *extra)
{
	applications = extra;
}

/* Is there a bit of the address to the right of the mask? */
static bool
has_host_bits(const Network *network)
{
	const uint8 *address;
	const uint8 *mask;
	int			length;

	if (network->address.ss_family == AF_INET)
	{
		address = (const uint8 *) &((const struct sockaddr_in *) &network->address)->sin_addr;
		mask = (const uint8 *) &((const struct sockaddr_in *) &network->mask)->sin_addr;
		length = 4;
	}
	else
	{
		address = (const uint8 *) &((const struct sockaddr_in6 *) &network->address)->sin6_addr;
		mask = (const uint8 *) &((const struct sockaddr_in6 *) &network->mask)->sin6_addr;
		length = 16;
	}
	for (int i = 0; i < length; i++)
	{
		if (address[i] & ~mask[i])
			return true;
	}
	return false;
}

/*
 * Parse an address that is written in full.  getaddrinfo() takes more than that:
 * for it "10" is 0.0.0.10, and the 010 of "010.0.0.1" is octal.
 */
static bool
parse_address(const char *text, struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	address->ss_family = AF_INET;
	if (inet_pton(AF_INET, text, &((struct sockaddr_in *) address)->sin_addr) == 1)
		return true;
	address->ss_family = AF_INET6;
	return inet_pton(AF_INET6, text, &((struct sockaddr_in6 *) address)->sin6_addr) == 1;
}

/* Parse ADDRESS or ADDRESS/BITS. */
static bool
parse_network(const char *text, Network *network)
{
	char	   *host = pstrdup(text);
	char	   *bits = strchr(host, '/');
	bool		ok = false;

	if (bits != NULL)
		*bits++ = '\0';

	if (!parse_address(host, &network->address))
	{
		GUC_check_errdetail("\"%s\" is not an IP address or a CIDR range.", text);
		GUC_check_errhint("Write an IPv4 address with all four numbers, and an IPv6 address without a zone.");
	}
	else if (pg_sockaddr_cidr_mask(&network->mask, bits, network->address.ss_family) < 0)
		GUC_check_errdetail("\"%s\" has an invalid mask length.", text);
	else if (has_host_bits(network))
		GUC_check_errdetail("\"%s\" has bits set to the right of the mask.", text);
	else
		ok = true;
	pfree(host);
	return ok;
}

bool
protection_check_addresses(char **newval, void **extra, GucSource source)
{
	char	   *copy;
	List	   *elements;
	bool		ok = split_list(*newval, "ranges", &copy, &elements);

	if (ok)
	{
		Size		size = offsetof(NetworkList, networks) +
		list_length(elements) * sizeof(Network);
		NetworkList *list = palloc(size);
		ListCell   *lc;

		list->count = 0;
		foreach(lc, elements)
			ok = ok && parse_network(lfirst(lc), &list->networks[list->count++]);

		/* the server would not free what a refused value leaves behind */
		if (ok)
		{
			*extra = compat_guc_extra(size);
			ok = (*extra != NULL);
		}
		if (ok)
			memcpy(*extra, list, size);
		pfree(list);
	}
	list_free(elements);
	pfree(copy);
	return ok;
}

void
protection_assign_addresses(const char *newval, void *extra)
{
	networks = extra;
}

/* Is this application protected?  Allocates in the current context. */
bool
protection_application(const char *application_name)
{
	const char *pattern;

	if (applications == NULL)
		return false;

	pattern = applications->patterns;
	for (int i = 0; i < applications->count; i++)
	{
		if (DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
												 CStringGetTextDatum(application_name),
												 CStringGetTextDatum(pattern))))
			return true;
		pattern += strlen(pattern) + 1;
	}
	return false;
}

/* Is this client address protected?  One of a Unix socket never is. */
bool
protection_address(const struct sockaddr *address, Size size)
{
	struct sockaddr_storage storage = {0};

	if (networks == NULL)
		return false;

	memcpy(&storage, address, Min(size, sizeof(storage)));
	for (int i = 0; i < networks->count; i++)
	{
		if (storage.ss_family == networks->networks[i].address.ss_family &&
			pg_range_sockaddr(&storage, &networks->networks[i].address,
							  &networks->networks[i].mask))
			return true;
	}
	return false;
}
