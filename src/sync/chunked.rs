//! An array that grows and whose elements never move.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::alloc::{alloc, dealloc, handle_alloc_error};

use super::memory::{self, HUGE};

/// An array that grows by whole chunks of `N` and whose elements never move.
///
/// Reading is one pointer load and an index. Growing is lock-free: racing threads each make what is
/// missing, one of them is kept. The first chunks, [`HUGE`] bytes in all, are made one by one, so that a small
/// array stays small; the later ones as many at a time as fit in a large page of the system, so that an
/// element of a large array is found without a walk through the system's tables of pages.
pub(crate) struct Chunked<T, const N: usize> {
    /// None that is not there yet; of chunks that are made together, the first is there first.
    chunks: Box<[AtomicPtr<[T; N]>]>,
    /// Elements are made by one thread, looked at by others and ended by another: with this it is `Send` and
    /// `Sync` for the same elements as a box that is made once.
    owns: PhantomData<once_cell::race::OnceBox<T>>,
}

impl<T: Default, const N: usize> Chunked<T, N> {
    /// Room for at least `capacity` elements; nothing is allocated for them yet.
    pub(crate) fn new(capacity: usize) -> Self {
        const { assert!(N.is_power_of_two() && size_of::<T>() > 0 && align_of::<T>() <= HUGE) };
        let none = |_| AtomicPtr::new(ptr::null_mut());
        Chunked { chunks: (0..capacity.div_ceil(N)).map(none).collect(), owns: PhantomData }
    }

    /// The element, if its chunk has been grown.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        // Acquire: after the elements were made.
        let chunk = self.chunks.get(index / N)?.load(Ordering::Acquire);
        // SAFETY: a chunk that is there is whole, and stays as long as this does.
        unsafe { chunk.as_ref() }.map(|chunk| &chunk[index % N])
    }

    /// The element, growing its chunk if need be.
    ///
    /// # Panics
    /// If `index` is not below the capacity.
    #[inline(always)]
    pub(crate) fn get_or_grow(&self, index: usize) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => self.grow(index),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, index: usize) -> &T {
        let (first, count) = self.made_together(index / N);
        let chunks = &self.chunks[first..first + count];
        let mut made = chunks[0].load(Ordering::Acquire);
        if made.is_null() {
            let new = make(count);
            // Races with itself: the first chunk decides whose are kept. Release: after the elements were made.
            let swap = (Ordering::AcqRel, Ordering::Acquire);
            match chunks[0].compare_exchange(ptr::null_mut(), new.as_ptr(), swap.0, swap.1) {
                Ok(_) => made = new.as_ptr(),
                Err(others) => {
                    // SAFETY: just made, of so many, and nobody has seen it.
                    unsafe { unmake(new, count) };
                    made = others;
                }
            }
        }
        // By everybody who finds one missing, whoever made them: nobody waits for who was first.
        for (number, chunk) in chunks.iter().enumerate().skip(1) {
            // SAFETY: they were made together, side by side.
            chunk.store(unsafe { made.add(number) }, Ordering::Release);
        }
        // SAFETY: as in `get`.
        let chunk = unsafe { &*made.add(index / N - first) };
        &chunk[index % N]
    }
}

impl<T, const N: usize> Chunked<T, N> {
    /// The first of the chunks that are made together with this one, and how many they are.
    fn made_together(&self, chunk: usize) -> (usize, usize) {
        let together = (HUGE / size_of::<[T; N]>()).max(1);
        if chunk < together {
            return (chunk, 1);
        }
        let first = chunk / together * together;
        (first, together.min(self.chunks.len() - first))
    }
}

impl<T, const N: usize> Drop for Chunked<T, N> {
    fn drop(&mut self) {
        let mut chunk = 0;
        while chunk < self.chunks.len() {
            let (_, count) = self.made_together(chunk);
            if let Some(made) = NonNull::new(*self.chunks[chunk].get_mut()) {
                // SAFETY: made together, and nobody looks at them any more.
                unsafe { unmake(made, count) };
            }
            chunk += count;
        }
    }
}

/// Where so many chunks are made, and whether on a large page: many that fill more than half of one.
fn layout<T, const N: usize>(count: usize) -> (Layout, bool) {
    let layout = Layout::array::<[T; N]>(count).expect("a few chunks");
    let large = count > 1 && layout.size() > HUGE / 2;
    let align = if large { HUGE } else { 1 };
    (layout.align_to(align).expect("a power of two").pad_to_align(), large)
}

/// Makes so many chunks, side by side.
fn make<T: Default, const N: usize>(count: usize) -> NonNull<[T; N]> {
    let (layout, large) = layout::<T, N>(count);
    // SAFETY: `Chunked::new` sees to it that its size is not zero.
    let made = NonNull::new(unsafe { alloc(layout) });
    let made = made.unwrap_or_else(|| handle_alloc_error(layout)).cast::<T>();
    if large {
        memory::prefer_large(made.as_ptr().addr(), layout.size());
    }
    for element in 0..count * N {
        // SAFETY: there is room for so many. Should one panic, the others are leaked.
        unsafe { made.add(element).write(T::default()) };
    }
    made.cast()
}

/// Ends what [`make`] made.
///
/// # Safety
/// It is of so many chunks, and nobody looks at it any more.
unsafe fn unmake<T, const N: usize>(made: NonNull<[T; N]>, count: usize) {
    // SAFETY: the elements are whole, and its caller's alone.
    unsafe {
        ptr::slice_from_raw_parts_mut(made.as_ptr(), count).drop_in_place();
        dealloc(made.as_ptr().cast(), layout::<T, N>(count).0);
    }
}

#[cfg(all(test, not(slotwise_loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    /// As large as that a few chunks of it fill a large page.
    #[repr(align(4096))]
    struct Wide(AtomicU64);

    static LIVE: AtomicU64 = AtomicU64::new(0);

    impl Default for Wide {
        fn default() -> Self {
            LIVE.fetch_add(1, Ordering::Relaxed);
            Wide(AtomicU64::new(0))
        }
    }

    impl Drop for Wide {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn threads_that_grow_it_find_the_same_elements_and_all_of_them_end() {
        const N: usize = 16;
        // Thirty-two chunks of 64 KiB one by one, as many together, and a part of as many.
        let (capacity, threads) = (32 * N * 2 + 20 * N + 5, 4);
        let array: Chunked<Wide, N> = Chunked::new(capacity);
        assert!(array.get(0).is_none() && array.get(capacity - 1).is_none());
        thread::scope(|scope| {
            for me in 0..threads {
                let array = &array;
                scope.spawn(move || {
                    for step in 0..capacity {
                        // From both ends, so that some are made from behind.
                        let at = if me % 2 == 0 { step } else { capacity - 1 - step };
                        array.get_or_grow(at).0.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let mut places = Vec::new();
        for at in 0..capacity {
            let element = array.get(at).expect("it was grown");
            assert_eq!(element.0.load(Ordering::Relaxed), threads, "element {at}");
            places.push(ptr::from_ref(element).addr());
        }
        assert!(places[32 * N].is_multiple_of(HUGE), "what is together begins a large page");
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0] + size_of::<Wide>() <= pair[1]));
        drop(array);
        assert_eq!(LIVE.load(Ordering::Relaxed), 0, "all of them ended, once");
    }
}
