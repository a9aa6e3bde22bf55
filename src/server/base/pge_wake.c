/*
 * pge_wake.c
 *	  Waking the launcher.
 *
 * The latch is the launcher's own.  It is read under a spinlock and set after
 * the spinlock is released.  That is safe: a latch in shared memory outlives
 * its process, so if the launcher has just exited, the wake-up has no effect.
 *
 * SPDX-License-Identifier: PostgreSQL
 * Copyright (c) 2026, pgenvelope contributors
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/pge_shared.h"
#include "base/pge_wake.h"

static void
set_launcher_latch(Latch *latch)
{
	SpinLockAcquire(&pge_shared->launcher_mutex);
	pge_shared->launcher_latch = latch;
	SpinLockRelease(&pge_shared->launcher_mutex);
}

void
pge_wake_attach(void)
{
	set_launcher_latch(MyLatch);
}

void
pge_wake_detach(void)
{
	set_launcher_latch(NULL);
}

void
pge_wake_launcher(void)
{
	Latch	   *latch;

	SpinLockAcquire(&pge_shared->launcher_mutex);
	latch = pge_shared->launcher_latch;
	SpinLockRelease(&pge_shared->launcher_mutex);
	if (latch != NULL)
		SetLatch(latch);
}
