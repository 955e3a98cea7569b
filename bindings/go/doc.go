// Package slotwise is the Go binding of slotwise, an embedded, lock-free, in-process scheduling
// engine: a program registers its workers and asks where each container, job or request should run.
// The truth about every worker's free capacity lies in the program's own memory, in atomically
// versioned slots, in place of Redis hashes, resource versions, locks and round trips.
//
//	engine, err := slotwise.New(slotwise.Config{})
//	…
//	defer engine.Close()
//	engine.AddWorker(slotwise.WorkerSpec{ID: "node-a", Total: slotwise.Resources{CPU: 16000, Memory: 65536}})
//
//	placed, err := engine.Reserve(slotwise.Request{ID: "job-1", Need: slotwise.Resources{CPU: 500, Memory: 1024}})
//	switch {
//	case errors.Is(err, slotwise.ErrBusy):  // wait, or make room: ReserveWait does
//	case errors.Is(err, slotwise.ErrNever): // no registered worker could ever hold it
//	case err == nil:
//		defer engine.Release(placed.Ticket)
//	}
//
// # What is fast
//
// A call into C costs as much as the work of placing one request. Whoever has many requests hands them
// over in one call: [Engine.ReserveBatch] with a [Batch] that is filled once and used again,
// [Engine.ReserveColumns] from columns of numbers, [Engine.ReserveMany] from a plain slice, and
// [Engine.ReleaseBatch] for their tickets. None of them allocates. Whoever has the same request again
// and again uses [Engine.Prepare]. Single calls pay where there are many workers, or many goroutines.
//
// # What comes after a placement
//
// A request may come under [Terms]: a time until which it is provisional, a rank, an account with a quota,
// limits on its group, devices: a part of a GPU ([PartOfDevice]), or several ([WholeDevices]);
// [Engine.Granted] says which they are. [Engine.Tick] tells the engine the time and returns what has ended;
// [Engine.Confirm] makes a provisional reservation a lasting one; [Engine.PlanPreemption] and
// [Engine.Preempt] make room for what ranks higher. Workers have leases ([Engine.Heartbeat]), are of a
// generation of a rollout ([Engine.ReadyGeneration]), and may come under another id than expected
// ([Engine.HandOff]). A request without terms pays nothing for them.
//
// # What is told before anything is done
//
// A refusal has its [Reasons] and an [Outlook]. [Engine.Explain] gives the verdict in full, with the
// nearest miss; [Engine.UnmetDemand] says how many workers of a shape would serve what was refused lately;
// [Engine.DryRun], [Engine.DryRunWith] and [Engine.Replicas] answer what would be if, by the search that
// the real batch uses. None of them changes anything.
//
// # What is learned
//
// The policies [FGD] and [Adaptive] learn which requests come, and put each where it destroys the least of
// what the mix would still place. [Engine.Learned] tells the mix, [Engine.Fragmentation] how much of what is
// free of GPUs is useless to it, and [Engine.Repack] which moves would change that.
//
// # Units
//
// CPU is in millicores, memory in MiB, GPUs are whole; parts of a device are in thousandths of it. Times
// are numbers of the host's clock, in whatever unit it counts, that do not go back. IDs are any bytes, UTF-8
// or not, at most [MaxIDLength] of them.
//
// # Errors
//
// A failed call returns an [*Error], which wraps a [Status]: errors.Is finds the latter (ErrBusy),
// errors.As the former, with its numbers. Entries of batches have a status each, which is an error
// too, and no allocation.
//
// # Goroutines and lifetimes
//
// Any goroutine may call any method of an [Engine] at any time. Reserve, resize and release take no
// lock and make no system call. Nothing passed in is kept. [Engine.Close] is safe at any time; memory
// is freed when nothing refers to the Engine any more. A reservation belongs to no goroutine: one
// that is not released stays, and [Engine.Drain] and the listings show it.
//
// # Building
//
// By default the package links the static library that `make lib` leaves in the repository. With the
// build tag slotwise_pkgconfig it links the one that `make install` installed, found by pkg-config.
// Go's build cache does not notice that a library has been built anew or has moved: build with -a then.
package slotwise
