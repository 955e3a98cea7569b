//! The one place that atomics come from: the standard library and portable-atomic in a build,
//! loom in a model. Nothing else in the crate names `std::sync::atomic`; a test holds that.
//!
//! loom is switched on by `--cfg slotwise_loom` in this crate's own tests, so that the flag does
//! not reach dependencies that have a loom mode of their own.

#[cfg(not(all(slotwise_loom, test)))]
mod facade {
    #[cfg(not(test))]
    pub(crate) use core::hint::spin_loop;
    #[cfg(feature = "capi")]
    pub(crate) use core::sync::atomic::AtomicPtr;
    pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[cfg(all(slotwise_loom, test))]
mod facade {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

pub(crate) use facade::*;

/// Waits a moment for another thread: in a simulation, that thread may have to be let go on.
#[cfg(all(test, not(slotwise_loom)))]
pub(crate) fn spin_loop() {
    stop(Stop::Spin);
    core::hint::spin_loop();
}

/// Takes one of the few locks there are. In a simulation, where one thread runs at a time, whoever
/// finds it taken lets others go on until it is not: none is ever left waiting by the system.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(all(test, not(slotwise_loom)))]
    while parking::simulated() {
        if let Some(guard) = mutex.try_lock() {
            return guard;
        }
        stop(Stop::Locked);
    }
    mutex.lock()
}
// loom has no 128-bit atomics: the models run on the 64-bit instance of the slot word, and this
// one is checked by stress and by the model test on the real CPU.
pub(crate) use portable_atomic::AtomicU128;

/// Two words that change as one where they can, narrower ones under loom.
#[cfg(not(all(slotwise_loom, test)))]
mod wide {
    pub(crate) type WideBits = u128;
    pub(crate) type WideCell = super::AtomicU128;
}
#[cfg(all(slotwise_loom, test))]
mod wide {
    pub(crate) type WideBits = u64;
    pub(crate) type WideCell = super::AtomicU64;
}
pub(crate) use wide::{WideBits, WideCell};

#[allow(unsafe_code, reason = "chunks that are made together are one allocation")]
mod chunked;
#[allow(unsafe_code, reason = "a call of the system, and an instruction")]
mod memory;

pub(crate) use chunked::Chunked;
pub(crate) use memory::fetch;
use parking_lot::{Mutex, MutexGuard};

/// The fence between "I have written mine" and "now I read yours", which two threads must both
/// pass so that at least one of them sees the other. loom models SeqCst fences, not SeqCst loads
/// and stores, so every such store-load edge in the crate is this one call.
#[inline]
pub(crate) fn store_load_fence() {
    fence(Ordering::SeqCst);
}

/// The same where the store was a compare-and-swap or the like: on x86-64 that was a full fence
/// itself, and only the compiler has to be told. Also between two loads, which x86-64 keeps in
/// order.
#[inline]
pub(crate) fn store_load_fence_after_swap() {
    #[cfg(all(target_arch = "x86_64", not(all(slotwise_loom, test))))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(all(slotwise_loom, test)))))]
    store_load_fence();
}

/// Zeroes that the system hands out page by page as they are touched, of large pages where it has such.
#[cfg(not(all(slotwise_loom, test)))]
pub(crate) fn zeroes(len: usize) -> Box<[AtomicU64]> {
    let zeroes: Box<[AtomicU64]> = bytemuck::zeroed_slice_box(len);
    memory::prefer_large(zeroes.as_ptr().addr(), size_of_val(&*zeroes));
    zeroes
}

#[cfg(all(slotwise_loom, test))]
pub(crate) fn zeroes(len: usize) -> Box<[AtomicU64]> {
    (0..len).map(|_| AtomicU64::new(0)).collect()
}

/// Seeded bugs for the loom models and the simulation: each of them must fail with its bug switched
/// on. Outside of the crate's own tests the question is a constant `false` and costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(all(slotwise_loom, test)), allow(dead_code, reason = "named by tests only"))]
pub(crate) enum Bug {
    /// A reservation is written with a store, not a compare-and-swap.
    TakeWithoutCas = 1,
    /// A reservation keeps the state that it read before, whatever it is now.
    TakeIgnoresState,
    /// A release does not ask which registration it was made on.
    GiveIgnoresIncarnation,
    /// An id is entered without a second look at the bucket.
    InsertWithoutSecondLook,
    /// A rival that has entered an id in a later cell is not waited for.
    InsertPassesLater,
    /// An id is taken for another's when its record moves on while it is read.
    LookOnlyOnce,
    /// A gang's roll-back forgets the last worker.
    RollBackForgetsOne,
    /// A record that was in a gang once follows its leader in its next use too.
    MemberFollowsForEver,
    /// A record that is used again still says where it was before.
    StaleAim,
    /// A reservation that was pledged is live again without a look at its worker.
    UnpledgeWithoutLook,
    /// What a group may give back holds its id no more.
    PledgeGivesUpId,
    /// A reservation that was resized is live again before its record says what it holds.
    AmountAfterUnpledge,
    /// The new amount of a resized reservation is written without an order to its worker's change.
    AmountUnordered,
    /// A draft that a removal elsewhere has doomed is given up.
    DoomedForGood,
    /// A removal dooms the member of a gang by itself, not through the leader.
    DoomIgnoresLeader,
    /// A ticket's generation stays when its record is used again.
    TicketKeepsGeneration,
    /// A release reads the record's state and stores the new one.
    ReleaseWithoutCas,
    /// The free list's head carries no tag.
    FreeListWithoutTag,
    /// A reservation is published with a store, so that a removal cannot doom it.
    PublishWithoutCas,
    /// A moved worker's place is taken without asking for its epoch.
    TakeIgnoresEpoch,
    /// A request is refused although workers were moving while it looked for one.
    RefuseIgnoresMoves,
    /// A hint is lowered without the mark that says so.
    LowerWithoutMark,
    /// A hint is lowered without a second look at what it is for.
    LowerWithoutSecondLook,
    /// A hint that is set already is not raised further up.
    RaiseStopsEarly,
    /// What is wanted is written into an entry of unmet demand without an order to its header.
    NoteUnordered,
    /// An entry of unmet demand is read without a second look at its header.
    NoteReadOnce,
    /// A worker is entered at a place after its word was read for the hints there.
    LookBeforeSitting,
    /// An account is charged with a store, not a compare-and-swap.
    ChargeWithoutCas,
    /// A member of a group is counted with a store, not a compare-and-swap.
    CountWithoutCas,
    /// A group's last member in a place leaves its count open to others while it is taken away.
    LastOneDoesNotSeal,
    /// An armed record's note is cleared after its deadline was read.
    NoteClearedLate,
    /// A reservation is confirmed with a store, not a compare-and-swap.
    ConfirmWithoutCas,
    /// A reservation that was handed off is live again before its record says where it is.
    PlaceAfterUnpledge,
    /// A claim is written with a store, not a compare-and-swap.
    ClaimWithoutCas,
    /// A worker's expiry does not ask whether it has been heard of meanwhile.
    ExpireWithoutCas,
    /// A group gives back on its worker what has been handed off to another meanwhile.
    GroupIgnoresHandOff,
    /// A page of devices is taken for the word's without a second look at the word.
    PageReadOnce,
    /// The page of the old word is given to others before the word names another.
    PageGivenEarly,
    /// A worker's capacity is lowered before its word says so.
    CapacityLoweredFirst,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn bug(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use seeded::bug;

#[cfg(test)]
pub(crate) mod seeded {
    use super::Bug;
    use std::cell::Cell;

    std::thread_local! {
        // loom runs all threads of a model on the thread that started it; a simulation switches the
        // bug on for each of its own, so that tests beside it know nothing of it.
        static ON: Cell<u8> = const { Cell::new(0) };
    }

    pub(crate) fn bug(bug: Bug) -> bool {
        ON.get() == bug as u8
    }

    /// Switches a bug on for the calling thread.
    #[cfg(not(slotwise_loom))]
    pub(crate) fn switch_on(bug: Option<Bug>) {
        ON.set(bug.map_or(0, |bug| bug as u8));
    }

    /// Runs the model with the bug switched on and says whether the model caught it.
    #[cfg(slotwise_loom)]
    pub(crate) fn catches(bug: Bug, model: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        ON.set(bug as u8);
        let caught = std::panic::catch_unwind(model).is_err();
        ON.set(0);
        caught
    }
}

/// Places in the protocols where a test can park a thread, to see that nobody waits for it, and where
/// the simulation lets others go on. Outside of such tests they are nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(any(not(test), slotwise_loom), allow(dead_code, reason = "named by tests only"))]
pub(crate) enum Stop {
    /// An id is tentatively entered.
    Entered,
    /// A record says where its reservation is about to be taken.
    Aimed,
    /// A slot has been taken from, and the record is not live yet.
    Taken,
    /// A hint is marked as being lowered.
    Marked,
    /// A hint is lowered, and the second look is to come.
    Lowered,
    /// A record is closed, and its slot not credited yet.
    Closed,
    /// A slot is credited, and no hint raised yet.
    Credited,
    /// The first of a path's hints is raised.
    Raised,
    /// All is given back but the record.
    Given,
    /// A reservation is pledged, and its slot not changed yet.
    Pledged,
    /// The slot of a resized reservation is changed, and its record not.
    Resized,
    /// A provisional reservation is found due, and is not ended yet.
    Due,
    /// A reservation is confirmed, and what it holds is still to be told.
    Confirmed,
    /// An account is charged, and nothing is taken yet.
    Charged,
    /// A reservation is counted under its limits, and nothing is taken yet.
    Counted,
    /// A slot is credited, and neither its account nor its counts are.
    Settling,
    /// A worker's lease is over, and it is not removed yet.
    Expired,
    /// What a claim's victims hold is promised, and they are not told yet.
    Claimed,
    /// An entry of unmet demand is claimed, and nothing written yet.
    Noting,
    /// Something has been read, and is about to be swapped, added to or stored. Before each such step
    /// that has no name of its own above.
    Swap,
    /// Something has been read in parts, and whether it has changed meanwhile is to be looked at.
    Read,
    /// Another thread is waited for, for a moment.
    Spin,
    /// A lock is another thread's.
    Locked,
}

#[cfg(any(not(test), slotwise_loom))]
#[inline(always)]
pub(crate) const fn stop(_: Stop) {}

#[cfg(all(test, not(slotwise_loom)))]
pub(crate) use parking::stop;

#[cfg(all(test, not(slotwise_loom)))]
pub(crate) mod parking {
    use super::Stop;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::mpsc::{Receiver, Sender};

    /// Where the thread is to park, whom it tells, and what it waits for.
    type Order = (Stop, Sender<()>, Receiver<()>);

    std::thread_local! {
        static ORDER: RefCell<Option<Order>> = const { RefCell::new(None) };
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// What a thread of a simulation does at each stop.
    pub(crate) type Hook = Rc<dyn Fn(Stop)>;

    /// Makes the calling thread part of a simulation, or takes it out.
    pub(crate) fn simulate(hook: Option<Hook>) {
        HOOK.set(hook);
    }

    pub(crate) fn simulated() -> bool {
        HOOK.with_borrow(|hook| hook.is_some())
    }

    /// The calling thread parks when it comes there next.
    pub(crate) fn park_at(at: Stop, parked: Sender<()>, go_on: Receiver<()>) {
        ORDER.set(Some((at, parked, go_on)));
    }

    pub(crate) fn stop(at: Stop) {
        let order = ORDER.with_borrow_mut(|order| order.take_if(|(wanted, ..)| *wanted == at));
        if let Some((_, parked, go_on)) = order {
            parked.send(()).expect("the test waits for this");
            // Nobody who could let it go on: it stays no longer than the test.
            let _ = go_on.recv();
        }
        // Taken out while it runs: what it looks at has stops of its own. It ends by unwinding where a
        // simulation fails.
        if let Some(hook) = HOOK.take() {
            hook(at);
            HOOK.set(Some(hook));
        }
    }
}
