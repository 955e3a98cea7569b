//! Many requests in one call, as columns: each attribute an array of its own, as data frames,
//! numpy and Go slices have them.

use core::ffi::c_char;

use super::args::{self, Argument, Column, HasSize, Span, Values};
use super::batch::{mode, reserve_all, slotwise_batch_done_t};
use super::failure::{Failure, call, slotwise_error_t};
use super::handle::{self, slotwise_engine_t};
use super::reserve::slotwise_request_t;
use super::status::*;
use super::workers::{slotwise_worker_t, worker_number};
use crate::placement::Resources;
use crate::registry::Selector;
use crate::{Affinity, Eligible, Request, Reservation, ReserveError, Terms};

/// Requests as columns of `count` entries, and columns for their results. What no column gives,
/// `common` does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slotwise_columns_t {
    /// sizeof(slotwise_columns_t).
    pub size: u32,
    /// SLOTWISE_INDEPENDENT or SLOTWISE_ALL_OR_NOTHING.
    pub mode: u32,
    /// How many: 0 to SLOTWISE_MAX_COUNT.
    pub count: usize,
    /// What all have in common, its terms as well. Its id must be empty.
    pub common: *const slotwise_request_t,
    /// The ids' bytes. NULL: all are anonymous.
    pub ids: *const c_char,
    /// `count` + 1 offsets into `ids`, rising: id k lies from offset k up to offset k + 1. NULL: the
    /// ids have a fixed width.
    pub id_offsets: *const u64,
    /// Without offsets: the width of an id, at most SLOTWISE_MAX_ID_LENGTH; NULs at its end do not
    /// count.
    pub id_width: usize,
    /// CPU in millicores. NULL: as in `common`; so for all that follow.
    pub cpu: *const u64,
    /// Memory in MiB.
    pub memory: *const u64,
    /// Whole GPUs.
    pub gpus: *const u64,
    /// Selectors.
    pub selectors: *const u32,
    /// Hashes that say where the probes start.
    pub hashes: *const u64,
    /// Room for tickets; 0 for requests that were not placed. NULL: not wanted; so for workers and
    /// versions.
    pub tickets: *mut u64,
    /// Room for workers; 0 for requests that were not placed.
    pub workers: *mut slotwise_worker_t,
    /// Room for the versions that the reservations made.
    pub versions: *mut u64,
    /// Room for the status of each. Not NULL.
    pub statuses: *mut i32,
    /// The batch's own id, as in slotwise_batch_t. NULL: none.
    pub batch_id: *const c_char,
    /// Its bytes.
    pub batch_id_length: usize,
    /// 0.
    pub reserved: u64,
}

// SAFETY: `size` comes first.
unsafe impl HasSize for slotwise_columns_t {}

/// Where the ids are.
enum Ids<'a> {
    None,
    Packed(&'a [u8], &'a [u64]),
    Fixed(&'a [u8], usize),
}

impl<'a> Ids<'a> {
    fn span(&self) -> Span {
        match self {
            Ids::None => args::NOWHERE,
            Ids::Packed(bytes, _) | Ids::Fixed(bytes, _) => args::span(bytes.as_ptr(), bytes.len()),
        }
    }

    #[inline]
    fn get(&self, index: usize) -> &'a [u8] {
        match *self {
            Ids::None => &[],
            Ids::Packed(bytes, offsets) => {
                &bytes[offsets[index] as usize..offsets[index + 1] as usize]
            }
            Ids::Fixed(bytes, width) => {
                let id = &bytes[index * width..(index + 1) * width];
                &id[..id.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
            }
        }
    }
}

impl slotwise_columns_t {
    /// # Safety
    /// As [`args`] says, of what it points to.
    unsafe fn ids<'a>(&self) -> Result<Ids<'a>, Failure> {
        if self.ids.is_null() {
            return Ok(Ids::None);
        }
        if self.id_offsets.is_null() {
            if self.id_width == 0 || self.id_width > crate::MAX_ID_LEN {
                let argument = Argument::new(SLOTWISE_ID_LENGTH, "id_width");
                return Err(argument.given(self.id_width as u64, crate::MAX_ID_LEN as u64).into());
            }
            // SAFETY: passed on; the count is bounded, so that the product is.
            let bytes = unsafe { args::bytes(self.ids, self.count * self.id_width, "ids") }?;
            return Ok(Ids::Fixed(bytes, self.id_width));
        }
        // SAFETY: passed on.
        let offsets = unsafe { args::entries(self.id_offsets, self.count + 1, "id_offsets") }?;
        if let Some(at) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(Argument::new(SLOTWISE_OFFSETS, "id_offsets").at(at).into());
        }
        let length = usize::try_from(offsets[self.count]).unwrap_or(usize::MAX);
        // SAFETY: passed on.
        Ok(Ids::Packed(unsafe { args::bytes(self.ids, length, "ids") }?, offsets))
    }

    /// # Safety
    /// As [`args`] says, of all that it points to.
    unsafe fn get<'a>(&self) -> Result<Columns<'a>, Failure> {
        // SAFETY: passed on.
        let columns = unsafe {
            let common = args::input(self.common, "common")?;
            if common.id_length != 0 {
                return Err(args::unknown("common", common.id_length as u64).into());
            }
            common.check()?;
            let terms = (!common.terms.is_null()).then(|| (*common.terms).get());
            Columns {
                common: common.get(),
                terms,
                ids: self.ids()?,
                cpu: Values::new(self.cpu, &common.cpu, "cpu")?,
                memory: Values::new(self.memory, &common.memory, "memory")?,
                gpus: Values::new(self.gpus, &common.gpus, "gpus")?,
                selectors: Values::new(self.selectors, &common.selector, "selectors")?,
                hashes: (!self.hashes.is_null())
                    .then(|| Values::new(self.hashes, &common.hash, "hashes"))
                    .transpose()?,
            }
        };
        // One of two affinities would be silently left out.
        if columns.hashes.is_some() && columns.common.affinity != Affinity::Id {
            return Err(args::unknown("hashes", 0).into());
        }
        Ok(columns)
    }

    /// The addresses that are read.
    fn read(&self, ids: &Ids<'_>) -> [Span; 9] {
        [
            ids.span(),
            args::span(self, 1),
            args::span(self.common, 1),
            args::span(self.id_offsets, self.count + 1),
            args::span(self.cpu, self.count),
            args::span(self.memory, self.count),
            args::span(self.gpus, self.count),
            args::span(self.selectors, self.count),
            args::span(self.hashes, self.count),
        ]
    }
}

/// The columns that are read.
struct Columns<'a> {
    /// Without its terms.
    common: Request<'a>,
    terms: Option<Terms<'a>>,
    ids: Ids<'a>,
    cpu: Values<u64>,
    memory: Values<u64>,
    gpus: Values<u64>,
    selectors: Values<u32>,
    hashes: Option<Values<u64>>,
}

impl<'a> Columns<'a> {
    /// Without its terms.
    ///
    /// # Safety
    /// `k` is below the count; as [`args`] says, of the columns.
    #[inline(always)]
    unsafe fn request(&self, k: usize, id: &'a [u8]) -> Request<'a> {
        let common = &self.common;
        // SAFETY: passed on; what all have in common is read within the call that it was passed to.
        unsafe {
            Request {
                id,
                need: Resources {
                    cpu: self.cpu.get(k),
                    memory: self.memory.get(k),
                    gpus: self.gpus.get(k),
                },
                eligible: Eligible::Selector(Selector(self.selectors.get(k))),
                affinity: match self.hashes {
                    Some(hashes) => Affinity::Hash(hashes.get(k)),
                    None => common.affinity,
                },
                policy: common.policy,
                ahead: common.ahead,
                terms: None,
            }
        }
    }
}

/// Reserves for many requests in one call, from columns into columns; otherwise as
/// slotwise_reserve_batch.
///
/// Returns SLOTWISE_OK also where requests were refused; each has its own status. Where the call
/// itself is wrong, nothing was placed and nothing was written: SLOTWISE_OFFSETS where offsets of
/// ids fall, SLOTWISE_ID_LENGTH where the width of ids or the batch id's length is wrong,
/// SLOTWISE_UNKNOWN_VALUE where `common` has an id or a key beside hashes, or as
/// slotwise_reserve_batch.
///
/// Threads: any. No lock, no system call.
/// Safety: `columns` points to a slotwise_columns_t, whose columns have as many entries as it says;
/// `ids` has as many bytes as the last offset, or `count` times the width; `done` is NULL or points
/// to a slotwise_batch_done_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slotwise_reserve_columns(
    engine: slotwise_engine_t,
    columns: *const slotwise_columns_t,
    done: *mut slotwise_batch_done_t,
) -> i32 {
    call(|| {
        // SAFETY: passed on from the caller.
        let (host, columns, id, output) = unsafe {
            let host = handle::host(engine)?;
            let columns = args::input(columns, "columns")?;
            let id = args::bytes(columns.batch_id, columns.batch_id_length, "batch_id")?;
            let id = (!columns.batch_id.is_null()).then_some(id);
            (host, columns, id, args::optional_output(done, "done")?)
        };
        args::reserved(columns.reserved == 0)?;
        let mode = mode(columns.mode)?;
        let count = args::count(columns.count, "count")?;
        if columns.statuses.is_null() {
            return Err(Argument::new(SLOTWISE_NULL_POINTER, "statuses").into());
        }
        let statuses = Column::new(columns.statuses, "statuses")?;
        let tickets = Column::new(columns.tickets, "tickets")?;
        let workers = Column::new(columns.workers, "workers")?;
        let versions = Column::new(columns.versions, "versions")?;
        // SAFETY: passed on from the caller, and used within this call.
        let requests: Columns<'static> = unsafe { columns.get() }?;
        let written = [
            args::span(columns.statuses, count),
            args::span(columns.tickets, count),
            args::span(columns.workers, count),
            args::span(columns.versions, count),
            args::span(done, 1),
        ];
        args::apart(&columns.read(&requests.ids), &written)?;
        let write = |k, result: &Result<Reservation, ReserveError>| {
            let (ticket, worker, version, status) = match result {
                Ok(r) => (r.ticket.to_bits(), worker_number(r.worker), r.version, SLOTWISE_OK),
                Err(error) => (0, 0, 0, slotwise_error_t::from(&Failure::Reserve(*error)).status),
            };
            // SAFETY: below the count; each column was checked.
            unsafe {
                statuses.write(k, status);
                tickets.write(k, ticket);
                workers.write(k, worker);
                versions.write(k, version);
            }
        };
        let batch = (count, mode, id);
        let engine = &host.engine;
        // SAFETY: they live until the call ends, and so long the requests are used.
        let terms = requests.terms.as_ref().map(|terms| unsafe { &*core::ptr::from_ref(terms) });
        let request = |k, id| {
            // SAFETY: below the count; passed on from the caller, and used within this call.
            let request = unsafe { requests.request(k, id) };
            Request { terms, ..request }
        };
        // Twice, so that what is done for ids is not there where there are none.
        let summary = match &requests.ids {
            Ids::None => reserve_all(engine, batch, |k| request(k, &[]), write),
            ids => reserve_all(engine, batch, |k| request(k, ids.get(k)), write),
        }?;
        if let Some(output) = output {
            output.write(summary);
        }
        Ok(())
    })
}
