//! What comes in by pointer and length, checked; what goes out.
//!
//! Every function here that takes pointers leans on one promise of the C caller, which the header
//! states once: a pointer that is not NULL points to what its type says, for as many entries as
//! the count beside it says, and nobody writes there during the call. NULL, alignment, sizes,
//! strides, counts and overlaps are checked; the rest is C's.

use core::ffi::c_char;
use core::fmt;
use core::mem::MaybeUninit;

use super::failure::Failure;
use super::limits::SLOTWISE_MAX_COUNT;
use super::status::*;

/// An argument that cannot be right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) status: i32,
    /// The parameter's or field's name in the header.
    pub(super) name: &'static str,
    /// The entry of an array, where it is one.
    pub(super) index: u64,
    pub(super) given: u64,
    pub(super) limit: u64,
}

impl Argument {
    pub(super) const fn new(status: i32, name: &'static str) -> Argument {
        Argument { status, name, index: 0, given: 0, limit: 0 }
    }

    pub(super) const fn given(mut self, given: u64, limit: u64) -> Argument {
        (self.given, self.limit) = (given, limit);
        self
    }

    pub(super) const fn at(mut self, index: usize) -> Argument {
        self.index = index as u64;
        self
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = super::status::text(self.status).to_str().unwrap_or_default();
        write!(f, "{}, entry {}: {text}", self.name, self.index)?;
        if (self.given, self.limit) != (0, 0) {
            write!(f, " (given {}, limit {})", self.given, self.limit)?;
        }
        Ok(())
    }
}

/// A structure that begins with its size, so that it can grow.
///
/// # Safety
/// `repr(C)`, and the first field is a `u32` that holds the size.
pub(super) unsafe trait HasSize {}

#[inline(always)]
fn check<T>(pointer: *const T, name: &'static str) -> Result<(), Argument> {
    if pointer.is_null() {
        return Err(wrong(SLOTWISE_NULL_POINTER, name));
    }
    if !pointer.is_aligned() {
        return Err(wrong(SLOTWISE_MISALIGNED, name));
    }
    Ok(())
}

// What is wrong is put into words apart: the way of what is right would prepare for it.
#[cold]
#[inline(never)]
fn wrong(status: i32, name: &'static str) -> Argument {
    Argument::new(status, name)
}

#[cold]
#[inline(never)]
fn wrong_size(size: u32, right: usize, name: &'static str) -> Argument {
    Argument::new(SLOTWISE_STRUCT_SIZE, name).given(size as u64, right as u64)
}

/// Whether a structure to read is there, of the size that it has here.
///
/// # Safety
/// As the module says.
#[inline(always)]
pub(super) unsafe fn is_whole<T: HasSize>(pointer: *const T) -> bool {
    !pointer.is_null()
        && pointer.is_aligned()
        // SAFETY: not NULL, aligned, and at least the size is there (`HasSize`).
        && unsafe { pointer.cast::<u32>().read() } as usize == size_of::<T>()
}

/// # Safety
/// As the module says.
#[inline(always)]
unsafe fn check_size<T: HasSize>(pointer: *const T, name: &'static str) -> Result<(), Argument> {
    // SAFETY: passed on.
    if unsafe { is_whole(pointer) } {
        return Ok(());
    }
    check(pointer, name)?;
    // SAFETY: not NULL, aligned, and at least the size is there (`HasSize`).
    Err(wrong_size(unsafe { pointer.cast::<u32>().read() }, size_of::<T>(), name))
}

/// A structure to read.
///
/// # Safety
/// As the module says.
#[inline(always)]
pub(super) unsafe fn input<'a, T: HasSize>(
    pointer: *const T,
    name: &'static str,
) -> Result<&'a T, Argument> {
    // SAFETY: passed on; then the size says that a whole `T` is there.
    unsafe {
        check_size(pointer, name)?;
        Ok(&*pointer)
    }
}

/// A structure without a size to read; NULL is none.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn optional_value<T: Copy>(
    pointer: *const T,
    name: &'static str,
) -> Result<Option<T>, Argument> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { value(pointer, name) }.map(Some)
}

/// A structure without a size to read.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn value<T: Copy>(pointer: *const T, name: &'static str) -> Result<T, Argument> {
    check(pointer, name)?;
    // SAFETY: not NULL, aligned, passed on.
    Ok(unsafe { pointer.read() })
}

/// Where a result goes. Written to on success alone.
pub(super) struct Output<'a, T>(&'a mut MaybeUninit<T>);

impl<T> Output<'_, T> {
    #[inline(always)]
    pub(super) fn write(self, value: T) {
        self.0.write(value);
    }
}

/// # Safety
/// As the module says.
#[inline(always)]
pub(super) unsafe fn output<'a, T>(
    pointer: *mut T,
    name: &'static str,
) -> Result<Output<'a, T>, Argument> {
    check(pointer, name)?;
    // SAFETY: not NULL, aligned; what was there is not read.
    Ok(Output(unsafe { &mut *pointer.cast() }))
}

/// A result that the caller may not want: NULL is nowhere.
///
/// # Safety
/// As the module says.
#[inline(always)]
pub(super) unsafe fn optional_output<'a, T>(
    pointer: *mut T,
    name: &'static str,
) -> Result<Option<Output<'a, T>>, Argument> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { output(pointer, name) }.map(Some)
}

/// Where a structure goes whose size the caller has set.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn sized_output<'a, T: HasSize>(
    pointer: *mut T,
    name: &'static str,
) -> Result<Output<'a, T>, Argument> {
    // SAFETY: passed on.
    unsafe {
        check_size(pointer, name)?;
        output(pointer, name)
    }
}

/// The same for one that the caller may not want.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn optional_sized_output<'a, T: HasSize>(
    pointer: *mut T,
    name: &'static str,
) -> Result<Option<Output<'a, T>>, Argument> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { sized_output(pointer, name) }.map(Some)
}

/// A number of entries that a call takes.
#[inline(always)]
pub(super) fn count(count: usize, name: &'static str) -> Result<usize, Argument> {
    if count as u64 > SLOTWISE_MAX_COUNT {
        return Err(Argument::new(SLOTWISE_COUNT, name).given(count as u64, SLOTWISE_MAX_COUNT));
    }
    Ok(count)
}

/// Whether bytes by pointer and length can be read. NULL will do for none.
#[inline(always)]
pub(super) fn check_bytes(
    pointer: *const c_char,
    length: usize,
    name: &'static str,
) -> Result<(), Argument> {
    if length > 0 && pointer.is_null() {
        return Err(Argument::new(SLOTWISE_NULL_POINTER, name));
    }
    if length > isize::MAX as usize {
        let argument = Argument::new(SLOTWISE_COUNT, name);
        return Err(argument.given(length as u64, isize::MAX as u64));
    }
    Ok(())
}

/// Bytes that have been checked.
///
/// # Safety
/// As the module says; [`check_bytes`] has passed.
#[inline(always)]
pub(super) unsafe fn checked_bytes<'a>(pointer: *const c_char, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: not NULL, a possible length, passed on.
    unsafe { core::slice::from_raw_parts(pointer.cast(), length) }
}

/// Bytes by pointer and length. NULL will do for none.
///
/// # Safety
/// As the module says.
#[inline(always)]
pub(super) unsafe fn bytes<'a>(
    pointer: *const c_char,
    length: usize,
    name: &'static str,
) -> Result<&'a [u8], Argument> {
    check_bytes(pointer, length, name)?;
    // SAFETY: passed on.
    Ok(unsafe { checked_bytes(pointer, length) })
}

/// An array of `count` to read, side by side.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn array<'a, T>(
    pointer: *const T,
    count: usize,
    name: &'static str,
) -> Result<&'a [T], Argument> {
    // SAFETY: passed on.
    unsafe { entries(pointer, self::count(count, name)?, name) }
}

/// The same of a count that has been checked.
///
/// # Safety
/// As the module says.
pub(super) unsafe fn entries<'a, T>(
    pointer: *const T,
    count: usize,
    name: &'static str,
) -> Result<&'a [T], Argument> {
    if count == 0 {
        return Ok(&[]);
    }
    check(pointer, name)?;
    // SAFETY: not NULL, aligned, passed on; the count is bounded, and with it the length.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// An array of `count` entries of `T`, `stride` bytes from one to the next (0: side by side). Its
/// entries are read and written through pointers, never as a slice: what lies between them is not
/// ours.
#[derive(Clone, Copy)]
pub(super) struct Strided<T> {
    first: *mut T,
    stride: usize,
    count: usize,
}

impl<T> Strided<T> {
    /// # Safety
    /// As the module says. The entries are written only if `pointer` was a `*mut`.
    #[inline(always)]
    pub(super) unsafe fn new(
        pointer: *const T,
        stride: usize,
        count: usize,
        name: &'static str,
    ) -> Result<Strided<T>, Argument> {
        self::count(count, name)?;
        let stride = if stride == 0 { size_of::<T>() } else { stride };
        if stride < size_of::<T>() {
            let argument = Argument::new(SLOTWISE_STRIDE, name);
            return Err(argument.given(stride as u64, size_of::<T>() as u64));
        }
        if !stride.is_multiple_of(align_of::<T>()) {
            return Err(Argument::new(SLOTWISE_MISALIGNED, name).given(stride as u64, 0));
        }
        if count > 0 {
            check(pointer, name)?;
            if count.checked_mul(stride).is_none_or(|all| all > isize::MAX as usize) {
                let argument = Argument::new(SLOTWISE_COUNT, name);
                return Err(argument.given(stride as u64, isize::MAX as u64));
            }
        }
        Ok(Strided { first: pointer.cast_mut(), stride, count })
    }

    #[inline(always)]
    fn pointer(&self, index: usize) -> *mut T {
        debug_assert!(index < self.count);
        self.first.wrapping_byte_add(index * self.stride)
    }

    /// # Safety
    /// `index` is below the count.
    #[inline(always)]
    pub(super) unsafe fn write(&self, index: usize, value: T) {
        // SAFETY: within the array, aligned by `new`.
        unsafe { self.pointer(index).write(value) }
    }

    /// An entry that has been checked.
    ///
    /// # Safety
    /// `index` is below the count, and [`Strided::get`] of it has passed.
    #[inline(always)]
    pub(super) unsafe fn checked<'a>(&self, index: usize) -> &'a T {
        // SAFETY: within the array, aligned by `new`; the size said that a whole `T` is there.
        unsafe { &*self.pointer(index) }
    }

    /// An entry that begins with its size.
    ///
    /// # Safety
    /// `index` is below the count.
    #[inline(always)]
    pub(super) unsafe fn get<'a>(&self, index: usize, name: &'static str) -> Result<&'a T, Argument>
    where
        T: HasSize,
    {
        // SAFETY: within the array, so as the module says.
        unsafe { input(self.pointer(index), name) }.map_err(|argument| argument.at(index))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The addresses that it spans.
    pub(super) fn span(&self) -> Span {
        let (start, entry) = (self.first.addr(), size_of::<T>());
        let end = match self.count {
            0 => start,
            count => start.saturating_add((count - 1) * self.stride + entry),
        };
        Span { start, end, entry, stride: self.stride }
    }
}

/// A column to read, or one value in place of a column.
#[derive(Clone, Copy)]
pub(super) struct Values<T> {
    first: *const T,
    /// 1, or 0 where all entries are one value.
    step: usize,
}

impl<T: Copy> Values<T> {
    /// `all` in place of NULL.
    pub(super) fn new(
        pointer: *const T,
        all: &T,
        name: &'static str,
    ) -> Result<Values<T>, Argument> {
        if pointer.is_null() {
            return Ok(Values { first: all, step: 0 });
        }
        check(pointer, name)?;
        Ok(Values { first: pointer, step: 1 })
    }

    /// # Safety
    /// As the module says, of the entry at `index` of a column; the one value is still there.
    #[inline(always)]
    pub(super) unsafe fn get(self, index: usize) -> T {
        // SAFETY: not NULL, aligned, passed on.
        unsafe { self.first.add(index * self.step).read() }
    }
}

/// A column of results; NULL where it is not wanted.
#[derive(Clone, Copy)]
pub(super) struct Column<T>(*mut T);

impl<T> Column<T> {
    pub(super) fn new(pointer: *mut T, name: &'static str) -> Result<Column<T>, Argument> {
        if !pointer.is_null() {
            check(pointer, name)?;
        }
        Ok(Column(pointer))
    }

    /// # Safety
    /// As the module says, of the entry at `index`.
    #[inline(always)]
    pub(super) unsafe fn write(self, index: usize, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL, aligned, passed on.
            unsafe { self.0.add(index).write(value) }
        }
    }
}

/// Addresses from `start` up to `end`, in which an entry stands every `stride` bytes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: usize,
    end: usize,
    entry: usize,
    stride: usize,
}

/// No addresses.
pub(super) const NOWHERE: Span = Span { start: 0, end: 0, entry: 0, stride: 0 };

/// The addresses of an array without gaps; none of NULL.
pub(super) fn span<T>(pointer: *const T, count: usize) -> Span {
    let start = pointer.addr();
    let length = if pointer.is_null() { 0 } else { count.saturating_mul(size_of::<T>()) };
    Span { start, end: start.saturating_add(length), entry: length, stride: length }
}

impl Span {
    fn meets(&self, other: &Span) -> bool {
        let apart = self.end <= other.start || other.end <= self.start;
        let empty = self.start == self.end || other.start == other.end;
        !apart && !empty && !self.alternates(other)
    }

    /// Whether the entries of the one lie in the gaps of the other, as in an array of a host's own
    /// structures that have both in them.
    fn alternates(&self, other: &Span) -> bool {
        let (first, second) = if self.start <= other.start { (self, other) } else { (other, self) };
        let gap = (second.start - first.start).checked_rem(first.stride).unwrap_or(0);
        first.stride == second.stride && gap >= first.entry && gap + second.entry <= first.stride
    }
}

/// No array that is written overlaps one that is read, or another that is written.
pub(super) fn apart(read: &[Span], written: &[Span]) -> Result<(), Argument> {
    for (n, one) in written.iter().enumerate() {
        if read.iter().chain(&written[..n]).any(|other| one.meets(other)) {
            return Err(Argument::new(SLOTWISE_OVERLAP, "results"));
        }
    }
    Ok(())
}

/// A text by pointer and length. NULL data is none, which is not the same as an empty one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_text_t {
    /// Its bytes: any, not only UTF-8, and no final NUL.
    pub data: *const c_char,
    /// How many.
    pub length: usize,
}

impl slotwise_text_t {
    /// # Safety
    /// As the module says.
    pub(super) unsafe fn get<'a>(&self, name: &'static str) -> Result<Option<&'a [u8]>, Argument> {
        if self.data.is_null() && self.length == 0 {
            return Ok(None);
        }
        // SAFETY: passed on.
        unsafe { bytes(self.data, self.length, name) }.map(Some)
    }
}

/// Writes a text and a final NUL into a buffer, as much as there is room for.
///
/// # Safety
/// As the module says, of `buffer` and `length`.
pub(super) unsafe fn put_text(
    text: &[u8],
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Result<(), Argument> {
    if capacity > 0 {
        check(buffer, "buffer")?;
    }
    // SAFETY: passed on.
    let length = unsafe { optional_output(length, "length") }?;
    if capacity > 0 {
        let fits = text.len().min(capacity - 1);
        // SAFETY: `fits + 1` bytes are there; the text is the library's own and overlaps nothing.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), fits);
            buffer.add(fits).write(0);
        }
    }
    if let Some(length) = length {
        length.write(text.len());
    }
    Ok(())
}

/// A reserved field must be 0, so that it can come to mean something.
#[inline(always)]
pub(super) fn reserved(zero: bool) -> Result<(), Failure> {
    if zero { Ok(()) } else { Err(Argument::new(SLOTWISE_RESERVED, "reserved").into()) }
}

/// A number, or flags, that stand for nothing.
#[cold]
pub(super) fn unknown(name: &'static str, given: u64) -> Argument {
    Argument::new(SLOTWISE_UNKNOWN_VALUE, name).given(given, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strided(start: usize, entry: usize, stride: usize, count: usize) -> Span {
        Span { start, end: start + (count - 1) * stride + entry, entry, stride }
    }

    #[test]
    fn what_alternates_does_not_overlap() {
        let requests = strided(1000, 88, 128, 10);
        for (start, entry, meets) in [
            (1088, 32, false),
            (1088, 48, true),
            (1080, 32, true),
            (1000 + 5 * 128 + 88, 32, false),
        ] {
            let placements = strided(start, entry, 128, 10);
            assert_eq!(requests.meets(&placements), meets, "{start} {entry}");
            assert_eq!(placements.meets(&requests), meets, "{start} {entry}");
        }
        assert!(requests.meets(&strided(1088, 32, 136, 10)));
        assert!(!requests.meets(&strided(900, 100, 100, 1)));
        assert!(!requests.meets(&strided(requests.end, 32, 128, 10)));
        assert!(!requests.meets(&span(core::ptr::null::<u64>(), 10)));
    }
}
