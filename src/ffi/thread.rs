//! The calling thread's part of the engine that it last called.
//!
//! Looking it up costs a shared library two calls of the dynamic linker's `__tls_get_addr` for each
//! pair of a reservation and its release, which is as much as the rest of what the interface adds.
//! On x86-64 Linux with glibc, a thread therefore keeps what it found last in sixteen bytes that are
//! reached by a TLS descriptor: a call of four instructions where the linker had room among the
//! statically placed thread-local bytes, as it has at a program's start and as a rule in `dlopen`,
//! and what it was before where it had none. The initial-exec model would save one nanosecond more
//! and make `dlopen` fail where there is no room. The compiler offers neither without unstable
//! options. Elsewhere the part is looked up each time.
//!
//! What is kept never leads to a part that is gone or another thread's:
//! - It is kept under the engine's handle, which is never given to another engine, and is used only
//!   after the handle was found in the table of handles: so the engine is there, and with it its
//!   parts, which it drops when it is dropped itself and never moves.
//! - A part is a thread's own until the thread's number is given back, which a destructor of the
//!   thread does. What is kept is forgotten by a destructor that is registered after that one and
//!   runs before it, or, where the thread's destructors should run in another order, in the same
//!   go: no code of a C host runs between the two. From then on nothing is kept.
//! - A child after `fork` has one thread, which goes on as the one that it is a copy of.

use super::handle::slotwise_engine_t;
use crate::Engine;
use crate::engine::Local;

/// What this thread keeps of an engine.
///
/// # Safety
/// `handle` is that of `engine`.
#[inline(always)]
pub(super) unsafe fn local(handle: slotwise_engine_t, engine: &Engine) -> &Local {
    // SAFETY: passed on.
    unsafe { found::local(handle, engine) }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu", not(miri))))]
mod found {
    use super::*;

    #[inline(always)]
    pub(super) unsafe fn local(_: slotwise_engine_t, engine: &Engine) -> &Local {
        engine.local()
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu", not(miri)))]
mod found {
    use core::arch::{asm, global_asm};
    use core::ptr;

    use super::*;

    // The handle of the engine that was called last, and the thread's part of it. Zero when the
    // thread starts: of no engine, since 0 is no handle.
    global_asm!(
        ".pushsection .tbss.__slotwise_found, \"awT\", @nobits",
        ".p2align 3",
        ".hidden __slotwise_found",
        ".globl __slotwise_found",
        ".type __slotwise_found, @object",
        ".size __slotwise_found, 16",
        "__slotwise_found:",
        ".zero 16",
        ".popsection",
        options(att_syntax)
    );

    // The calling convention of a TLS descriptor: the offset from the thread pointer comes in rax,
    // all other registers are kept. Linkers know these two instructions and replace them in
    // programs. Some versions of glibc do not keep all vector registers where they allocate.
    macro_rules! with_offset {
        ($instructions:literal, $($operands:tt)*) => {
            asm!(
                "leaq __slotwise_found@tlsdesc(%rip), %rax",
                "call *__slotwise_found@tlscall(%rax)",
                $instructions,
                $($operands)*
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
                out("xmm15") _,
                options(att_syntax)
            )
        };
    }

    #[inline(always)]
    fn get() -> (slotwise_engine_t, *const Local) {
        let (handle, local);
        // SAFETY: reads this thread's sixteen bytes, which are there for as long as it is; the stack
        // is aligned for the call.
        unsafe {
            with_offset!(
                "movq %fs:(%rax), {handle}\n movq %fs:8(%rax), %rax",
                handle = out(reg) handle, out("rax") local,
            );
        }
        (handle, local)
    }

    fn set(handle: slotwise_engine_t, local: *const Local) {
        // SAFETY: as in `get`; nothing else has a reference to these bytes.
        unsafe {
            with_offset!(
                "movq {handle}, %fs:(%rax)\n movq {local}, %fs:8(%rax)",
                handle = in(reg) handle, local = in(reg) local, out("rax") _,
            );
        }
    }

    /// Forgets what was found when the thread ends.
    struct Forget;

    impl Drop for Forget {
        fn drop(&mut self) {
            set(0, ptr::null());
        }
    }

    thread_local! {
        static FORGET: Forget = const { Forget };
    }

    #[inline(always)]
    pub(super) unsafe fn local(handle: slotwise_engine_t, engine: &Engine) -> &Local {
        match get() {
            // SAFETY: `look_up` put it there on this thread, of this engine; the module says why it
            // is there still, and this thread's still.
            (found, local) if found == handle => unsafe { &*local },
            _ => look_up(handle, engine),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(handle: slotwise_engine_t, engine: &Engine) -> &Local {
        let local = engine.local();
        // Registers the destructor the first time, and fails once it has run.
        if FORGET.try_with(|_| ()).is_ok() {
            set(handle, local);
        }
        local
    }
}
