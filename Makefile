srcdir ?= .

# The version is in leakwatch.control and nowhere else.
EXTENSION = leakwatch
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(srcdir)/leakwatch.control)

MODULE_big = leakwatch
OBJS = \
	src/activity.o \
	src/advice.o \
	src/agenda.o \
	src/alarm.o \
	src/alert.o \
	src/almanac.o \
	src/answer.o \
	src/assertion.o \
	src/blockers.o \
	src/calls.o \
	src/capacity.o \
	src/capture.o \
	src/cause.o \
	src/causes.o \
	src/census.o \
	src/chronicle.o \
	src/client.o \
	src/clock.o \
	src/command.o \
	src/connections.o \
	src/control.o \
	src/diag.o \
	src/digest.o \
	src/document.o \
	src/encoding.o \
	src/enforce.o \
	src/evidence.o \
	src/excerpt.o \
	src/exposition.o \
	src/facts.o \
	src/follow.o \
	src/forecast.o \
	src/guc.o \
	src/harm.o \
	src/histogram.o \
	src/history.o \
	src/holders.o \
	src/hooks.o \
	src/horizon.o \
	src/html.o \
	src/incident.o \
	src/judge.o \
	src/kin.o \
	src/kind.o \
	src/known.o \
	src/landmark.o \
	src/launch.o \
	src/leakwatch.o \
	src/ledger.o \
	src/listen.o \
	src/locks.o \
	src/metrics.o \
	src/names.o \
	src/normal.o \
	src/note.o \
	src/notify.o \
	src/observe.o \
	src/outcome.o \
	src/overview.o \
	src/page.o \
	src/patience.o \
	src/places.o \
	src/plot.o \
	src/pool.o \
	src/pools.o \
	src/prepared.o \
	src/presence.o \
	src/progress.o \
	src/protection.o \
	src/publication.o \
	src/quota.o \
	src/recorder.o \
	src/reminder.o \
	src/report.o \
	src/restore.o \
	src/row.o \
	src/samples.o \
	src/saturation.o \
	src/section.o \
	src/session.o \
	src/shape.o \
	src/shmem.o \
	src/slot.o \
	src/snapshots.o \
	src/spells.o \
	src/sqlcommenter.o \
	src/statement.o \
	src/style.o \
	src/summary.o \
	src/suspect.o \
	src/suspicion.o \
	src/table.o \
	src/tags.o \
	src/tally.o \
	src/terminate.o \
	src/timeline.o \
	src/trail.o \
	src/twophase.o \
	src/upsert.o \
	src/use.o \
	src/verdict.o \
	src/views.o \
	src/waiters.o \
	src/waiting.o \
	src/watcher.o \
	src/words.o \
	src/worker.o \
	src/worklist.o \
	src/writing.o

DATA = $(patsubst $(srcdir)/%,%,$(wildcard $(srcdir)/sql/leakwatch--*.sql))
PGFILEDESC = "leakwatch - finds, reports and ends leaked sessions"

PG_CPPFLAGS = -DLEAKWATCH_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare

# Against a server that is running and preloads leakwatch, or with
# TEMP_INSTANCE=yes against one of their own.
REGRESS = $(sort $(patsubst $(srcdir)/test/sql/%.sql,%,$(wildcard $(srcdir)/test/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir)/test
ISOLATION = $(sort $(patsubst $(srcdir)/test/specs/%.spec,%,$(wildcard $(srcdir)/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test --outputdir=.
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
ifdef TEMP_INSTANCE
REGRESS_OPTS += --temp-instance=tmp_check --temp-config=$(srcdir)/test/leakwatch.conf
ISOLATION_OPTS += --temp-instance=tmp_check_iso --temp-config=$(srcdir)/test/leakwatch.conf
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

ifneq ($(shell test $(basename $(MAJORVERSION)) -ge 15 && echo yes),yes)
$(error leakwatch needs PostgreSQL 15 or newer, and $(PG_CONFIG) is of $(MAJORVERSION))
endif

PROVE_FLAGS += -I $(srcdir)/test/t

# PGXS knows of no dependencies on headers.
$(OBJS): $(wildcard $(srcdir)/src/*.h) $(srcdir)/leakwatch.control

# Out-of-tree builds, as Debian's, need the directory.
ifneq ($(srcdir),.)
$(shell mkdir -p src)
endif

# 15 leaves every symbol of a module visible to all others; later PGXS hide
# them.
ifeq ($(MAJORVERSION),15)
override CFLAGS += -fvisibility=hidden
override CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'
endif
