//! Argument soup: calls over the whole C interface with whatever a C program can pass without
//! breaking C's own rules. All memory that the library is given lies in one arena, which is compared
//! after each call: nothing may have changed but what a call that succeeded says that it writes.

#![no_main]

use core::ffi::CStr;
use core::ops::Range;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use slotwise::ffi::*;

const ARENA: usize = 8 << 10;
const CALLS: usize = 64;

/// An engine's handle, as a host that counts would know it.
#[derive(Clone, Copy)]
struct Handle {
    engine: slotwise_engine_t,
    references: u32,
    closed: bool,
}

/// What is known of the handle that a call is made with.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Live,
    Closed,
    Stale,
}

struct Soup<'a> {
    u: Unstructured<'a>,
    /// In words, so that places are aligned unless it is asked otherwise.
    arena: Vec<u64>,
    /// Up to where this call's arguments reach.
    used: usize,
    /// Arrays and structures of this call, and where its results may go.
    read: Vec<Range<usize>>,
    write: Vec<Range<usize>>,
    handles: Vec<Handle>,
    tickets: Vec<u64>,
    workers: Vec<u64>,
    selectors: Vec<u32>,
}

impl<'a> Soup<'a> {
    fn pick(&mut self, n: usize) -> Result<usize> {
        self.u.choose_index(n.max(1))
    }

    /// Once in `n`, more or less.
    fn rarely(&mut self, n: u8) -> Result<bool> {
        Ok(self.u.arbitrary::<u8>()? % n == n - 1)
    }

    fn base(&mut self) -> *mut u8 {
        self.arena.as_mut_ptr().cast()
    }

    /// Fresh room of this call, now and then misaligned.
    fn room(&mut self, bytes: usize) -> Result<usize> {
        let slack = if self.rarely(40)? { 1 + self.pick(7)? } else { 0 };
        let at = self.used + slack;
        if at + bytes > ARENA {
            return Err(arbitrary::Error::NotEnoughData);
        }
        self.used = (at + bytes).next_multiple_of(8);
        Ok(at)
    }

    fn at<T>(&mut self, at: usize) -> *mut T {
        self.base().wrapping_add(at).cast()
    }

    /// Puts values side by side; NULL for none, or when it happens so.
    fn put<T: Copy>(&mut self, values: &[T]) -> Result<*mut T> {
        if values.is_empty() || self.rarely(40)? {
            return Ok(core::ptr::null_mut());
        }
        let at = self.room(size_of_val(values))?;
        for (k, value) in values.iter().enumerate() {
            let to = self.at::<T>(at).wrapping_add(k);
            // SAFETY: `room` has checked that this is in the arena.
            unsafe { to.write_unaligned(*value) };
        }
        self.read.push(at..at + size_of_val(values));
        Ok(self.at(at))
    }

    /// The same with a stride; it returns that, too.
    fn put_strided<T: Copy>(&mut self, values: &[T]) -> Result<(*mut T, usize)> {
        let stride = match self.u.arbitrary::<u8>()? % 24 {
            0 => size_of::<T>() + 8,
            1 => size_of::<T>() + 4,
            2 => size_of::<T>() - 8,
            3 => size_of::<T>(),
            _ => 0,
        };
        let step = if stride == 0 { size_of::<T>() } else { stride };
        if values.is_empty() || self.rarely(40)? {
            return Ok((core::ptr::null_mut(), stride));
        }
        let at = self.room(step.max(size_of::<T>()) * values.len())?;
        for (k, value) in values.iter().enumerate() {
            let to = self.at::<T>(at + k * step);
            // SAFETY: as in `put`. With too small a stride entries cover each other's ends, and the
            // library must not look.
            unsafe { to.write_unaligned(*value) };
        }
        self.read.push(at..at + step * (values.len() - 1) + size_of::<T>());
        Ok((self.at(at), stride))
    }

    /// A place for `count` results: fresh, none, or on top of something else.
    fn out<T>(&mut self, count: usize) -> Result<*mut T> {
        self.out_strided(count, size_of::<T>())
    }

    fn out_strided<T>(&mut self, count: usize, step: usize) -> Result<*mut T> {
        let bytes = if count == 0 { 0 } else { step * (count - 1) + size_of::<T>() };
        let at = match self.u.arbitrary::<u8>()? % 32 {
            0 => return Ok(core::ptr::null_mut()),
            // Over the arguments of this call, which begin the arena.
            1 if bytes <= ARENA => self.pick(ARENA.min(self.used + 8) - bytes.min(self.used))? & !3,
            _ => self.room(bytes)?,
        };
        if at + bytes > ARENA {
            return Err(arbitrary::Error::NotEnoughData);
        }
        for k in 0..count {
            self.write.push(at + k * step..at + k * step + size_of::<T>());
        }
        Ok(self.at(at))
    }

    /// A place for a structure that says its size.
    fn sized_out<T>(&mut self) -> Result<*mut T> {
        let used = self.used;
        let to: *mut T = self.out(1)?;
        // On top of other arguments it says whatever they say.
        if to.addr() >= self.base().addr() + used {
            let size = self.size::<T>()?;
            // SAFETY: the first field of each such structure, in the arena.
            unsafe { to.cast::<u32>().write_unaligned(size) };
        }
        Ok(to)
    }

    fn size<T>(&mut self) -> Result<u32> {
        let right = size_of::<T>() as u32;
        Ok(if self.rarely(60)? { self.u.arbitrary()? } else { right })
    }

    fn zero<T: Default + arbitrary::Arbitrary<'a>>(&mut self) -> Result<T> {
        if self.rarely(60)? { self.u.arbitrary() } else { Ok(T::default()) }
    }

    /// One of the first `n` numbers, or any.
    fn number(&mut self, n: u32) -> Result<u32> {
        if self.rarely(60)? { self.u.arbitrary() } else { self.u.int_in_range(0..=n - 1) }
    }

    fn amount(&mut self, large: u64) -> Result<u64> {
        Ok(match self.u.arbitrary::<u8>()? % 16 {
            0 => self.u.arbitrary()?,
            1 => large + self.u.int_in_range(0..=1)?,
            n => n as u64 % 5,
        })
    }

    fn resources(&mut self) -> Result<slotwise_resources_t> {
        Ok(slotwise_resources_t {
            cpu: self.amount(8_388_607)?,
            memory: self.amount(134_217_727)?,
            gpus: if self.rarely(4)? { self.amount(255)? } else { 0 },
        })
    }

    /// Bytes by pointer and length.
    fn text(&mut self) -> Result<slotwise_text_t> {
        const WORDS: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"", b"\0", b"\xff\0", b"a\0"];
        let mut none = slotwise_text_t { data: core::ptr::null(), length: 0 };
        let bytes: Vec<u8> = match self.u.arbitrary::<u8>()? % 40 {
            0 => return Ok(none),
            1 => {
                none.length = self.u.arbitrary()?;
                return Ok(none);
            }
            // Longer than memory can be: that is refused by the number alone.
            2 => {
                let length = usize::MAX - self.pick(isize::MAX as usize)?;
                return Ok(slotwise_text_t { data: self.base().cast(), length });
            }
            3 => vec![b'l'; self.u.int_in_range(60..=68)?],
            4 => vec![b'n'; self.u.int_in_range(250..=260)?],
            // Whatever lies in the arena.
            5 => {
                let at = self.pick(ARENA)?;
                let length = self.pick((ARENA - at).min(80))?;
                let data = self.base().wrapping_add(at);
                return Ok(slotwise_text_t { data: data.cast(), length });
            }
            n => WORDS[n as usize % WORDS.len()].to_vec(),
        };
        let at = self.room(bytes.len())?;
        let data = self.base().wrapping_add(at);
        // SAFETY: in the arena.
        unsafe { data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(slotwise_text_t { data: data.cast(), length: bytes.len() })
    }

    /// A text where most have none.
    fn attribute(&mut self) -> Result<slotwise_text_t> {
        let none = slotwise_text_t { data: core::ptr::null(), length: 0 };
        if self.rarely(3)? { self.text() } else { Ok(none) }
    }

    fn list<T: Copy>(
        &mut self,
        most: usize,
        mut one: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.u.int_in_range(0..=most)?;
        (0..count).map(|_| one(self)).collect()
    }

    /// The number of entries that is passed with them: right, or more than any call takes.
    fn count(&mut self, right: usize) -> Result<usize> {
        Ok(match self.u.arbitrary::<u8>()? {
            0 => SLOTWISE_MAX_COUNT as usize + 1,
            1 => usize::MAX,
            _ => right,
        })
    }

    fn ticket(&mut self) -> Result<u64> {
        if self.tickets.is_empty() || self.rarely(16)? {
            return self.u.arbitrary();
        }
        let at = self.pick(self.tickets.len())?;
        let ticket = self.tickets[at];
        Ok(if self.rarely(16)? { ticket ^ 1 << self.pick(64)? } else { ticket })
    }

    fn worker(&mut self) -> Result<u64> {
        if self.workers.is_empty() || self.rarely(16)? {
            return self.u.arbitrary();
        }
        let at = self.pick(self.workers.len())?;
        let worker = self.workers[at];
        Ok(if self.rarely(16)? { worker ^ 1 << self.pick(64)? } else { worker })
    }

    fn selector(&mut self) -> Result<u32> {
        if self.selectors.is_empty() || self.rarely(4)? {
            return Ok(if self.rarely(8)? { self.u.arbitrary()? } else { 0 });
        }
        let at = self.pick(self.selectors.len())?;
        Ok(self.selectors[at])
    }

    fn request(&mut self, anonymous: bool) -> Result<slotwise_request_t> {
        let id = match anonymous && !self.rarely(40)? {
            true => slotwise_text_t { data: core::ptr::null(), length: 0 },
            false => self.text()?,
        };
        let hashed = self.rarely(4)?;
        let key = self.attribute()?;
        let need = self.resources()?;
        Ok(slotwise_request_t {
            size: self.size::<slotwise_request_t>()?,
            flags: if self.rarely(60)? {
                self.u.arbitrary()?
            } else {
                u32::from(self.u.arbitrary::<bool>()?) | if hashed { SLOTWISE_HASH } else { 0 }
            },
            id: id.data,
            id_length: id.length,
            cpu: need.cpu,
            memory: need.memory,
            gpus: need.gpus,
            selector: self.selector()?,
            policy: self.number(9)?,
            key: if hashed { core::ptr::null() } else { key.data },
            key_length: if hashed { 0 } else { key.length },
            hash: if hashed { self.u.arbitrary()? } else { self.zero()? },
            terms: if self.rarely(3)? { self.terms()? } else { core::ptr::null() },
        })
    }

    /// A time that the clock may come to, or any.
    fn time(&mut self) -> Result<u64> {
        if self.rarely(40)? { self.u.arbitrary() } else { Ok(self.pick(64)? as u64) }
    }

    fn terms(&mut self) -> Result<*const slotwise_terms_t> {
        let limits = self.list(5, |s| {
            Ok(slotwise_limit_t { group: s.number(3)?, at_most: s.pick(4)? as u32 })
        })?;
        let flags = self.number(8)?;
        let set = |flag: u32| flags & flag != 0;
        let devices = if self.rarely(3)? { self.number(18)? } else { 0 };
        let parts = devices > 0 || self.rarely(40)?;
        let terms = slotwise_terms_t {
            size: self.size::<slotwise_terms_t>()?,
            flags,
            hold_until: if set(SLOTWISE_HOLD) { self.time()? } else { self.zero()? },
            priority: self.u.arbitrary::<i8>()?.into(),
            account: if set(SLOTWISE_ACCOUNT) { self.number(3)? } else { self.zero()? },
            limit_count: self.count(limits.len())?,
            limits: self.put(&limits)?,
            reserved: self.zero()?,
            device_count: devices,
            device_milli: match self.u.arbitrary::<u8>()? {
                _ if !parts => 0,
                n if devices == 1 && n > 20 => u32::from(n) * 4,
                0..20 => self.number(1_002)?,
                _ => 1_000,
            },
            device_memory: if parts { self.amount(134_217_727)? } else { 0 },
            island: if parts { self.number(3)? } else { 0 },
            reserved2: self.zero()?,
        };
        let terms = self.put(&[terms])?;
        // Results may lie over it, as over ids.
        self.read.clear();
        Ok(terms)
    }

    fn spec(&mut self) -> Result<slotwise_worker_spec_t> {
        let labels = if self.rarely(3)? {
            self.list(3, |s| Ok(slotwise_label_t { key: s.text()?, value: s.text()? }))?
        } else {
            vec![]
        };
        let devices = if self.rarely(3)? {
            self.list(4, |s| {
                Ok(slotwise_device_t {
                    id: s.text()?,
                    memory: s.amount(134_217_727)?,
                    island: if s.rarely(16)? { s.u.arbitrary()? } else { s.number(2)? },
                    reserved: s.zero()?,
                })
            })?
        } else {
            vec![]
        };
        let mut total = self.resources()?;
        // Room for several requests.
        for amount in [&mut total.cpu, &mut total.memory, &mut total.gpus] {
            *amount = if *amount < 5 { *amount * 8 } else { *amount };
        }
        if !devices.is_empty() && !self.rarely(16)? {
            total.gpus = 0;
        }
        Ok(slotwise_worker_spec_t {
            size: self.size::<slotwise_worker_spec_t>()?,
            flags: if self.rarely(3)? { self.number(8)? } else { 0 },
            id: self.text()?,
            total,
            set_aside: if self.rarely(8)? { self.resources()? } else { Default::default() },
            priority: if self.rarely(4)? { self.u.arbitrary()? } else { 0 },
            tier: if self.rarely(4)? { self.number(257)? } else { 0 },
            pool: self.attribute()?,
            gpu_type: if total.gpus > 0 || !devices.is_empty() || self.rarely(20)? {
                self.attribute()?
            } else {
                slotwise_text_t { data: core::ptr::null(), length: 0 }
            },
            tenant: self.attribute()?,
            machine: self.attribute()?,
            label_count: self.count(labels.len())?,
            labels: self.put(&labels)?,
            reserved: self.zero()?,
            generation: self.pick(4)? as u64,
            lease: if self.rarely(4)? { self.time()? } else { 0 },
            device_count: self.count(devices.len())?,
            devices: self.put(&devices)?,
        })
    }

    fn constraints(&mut self) -> Result<slotwise_constraints_t> {
        let pools = if self.rarely(2)? { self.list(3, Self::text)? } else { vec![] };
        let types = if self.rarely(4)? { self.list(3, Self::text)? } else { vec![] };
        let labels = if self.rarely(4)? {
            self.list(2, |s| {
                let values = match s.rarely(16)? {
                    true => vec![slotwise_text_t { data: core::ptr::null(), length: 0 }; 66],
                    false => s.list(3, Self::text)?,
                };
                Ok(slotwise_label_in_t {
                    key: s.text()?,
                    value_count: s.count(values.len())?,
                    values: s.put(&values)?,
                })
            })?
        } else {
            vec![]
        };
        Ok(slotwise_constraints_t {
            size: self.size::<slotwise_constraints_t>()?,
            flags: self.number(2)?,
            machine: self.attribute()?,
            tenant: self.attribute()?,
            pool_count: self.count(pools.len())?,
            pools: self.put(&pools)?,
            label_count: self.count(labels.len())?,
            labels: self.put(&labels)?,
            gpu_type_count: self.count(types.len())?,
            gpu_types: self.put(&types)?,
            reserved: self.zero()?,
        })
    }

    fn config(&mut self) -> Result<slotwise_config_t> {
        let limit = |s: &mut Self, small: u64, over: u64| {
            Ok(match s.u.arbitrary::<u8>()? % 40 {
                0 => 0,
                1 => over + 1,
                2 => u64::MAX,
                3 => 1,
                _ => small,
            })
        };
        Ok(slotwise_config_t {
            size: self.size::<slotwise_config_t>()?,
            flags: self.number(4)?,
            max_workers: limit(self, 12, 16_777_216)?,
            max_reservations: limit(self, 200, 134_217_728)?,
            max_selectors: limit(self, 8, 1_048_576)?,
            max_batches: limit(self, 3, 1_048_576)?,
            policy: self.number(9)?,
            max_planners: limit(self, 2, 64)? as u32,
            max_accounts: limit(self, 3, 16_777_216)?,
            max_groups: limit(self, 3, 16_777_216)?,
            max_unmet: limit(self, 3, 1_048_576)?,
            seed: self.u.arbitrary()?,
        })
    }

    fn batch(&mut self) -> Result<*mut slotwise_batch_t> {
        let requests = self.list(6, |s| s.request(false))?;
        let (first, request_stride) = self.put_strided(&requests)?;
        let count = self.count(requests.len())?;
        let room = requests.len();
        let placement_stride = if self.rarely(16)? { 8 * self.pick(8)? } else { 0 };
        let step = if placement_stride == 0 {
            size_of::<slotwise_placement_t>()
        } else {
            placement_stride
        };
        // Beyond what a call takes nothing is looked at.
        let room = if count > room { room } else { count };
        let placements = self.out_strided(room, step)?;
        let reasons = if self.rarely(3)? { self.out(room)? } else { core::ptr::null_mut() };
        let id = self.attribute()?;
        let batch = slotwise_batch_t {
            size: self.size::<slotwise_batch_t>()?,
            mode: self.number(2)?,
            requests: first,
            request_stride,
            count,
            placements,
            placement_stride,
            reasons,
            id: id.data,
            id_length: id.length,
            reserved: self.zero()?,
        };
        self.put(&[batch])
    }

    fn columns(&mut self) -> Result<*mut slotwise_columns_t> {
        let count = self.u.int_in_range(0..=6usize)?;
        fn column<'a, T: Copy>(
            s: &mut Soup<'a>,
            count: usize,
            wanted: u8,
            mut one: impl FnMut(&mut Soup<'a>) -> Result<T>,
        ) -> Result<*mut T> {
            if !s.rarely(wanted)? {
                return Ok(core::ptr::null_mut());
            }
            let values = (0..count).map(|_| one(s)).collect::<Result<Vec<T>>>()?;
            s.put(&values)
        }
        let common = [self.request(true)?];
        let common = self.put(&common)?;
        let packed: bool = self.u.arbitrary()?;
        let width = self.pick(7)?;
        let (mut ids, mut offsets) = (core::ptr::null_mut(), core::ptr::null_mut());
        let mut id_width = 0;
        if !self.rarely(4)? && packed {
            let mut all = vec![];
            let mut ends = vec![0u64];
            for _ in 0..count {
                all.extend(vec![b'a' + self.pick(4)? as u8; self.pick(3)?]);
                ends.push(all.len() as u64);
            }
            if count > 0 && self.rarely(16)? {
                // One that is out of order; the last stays, since it says how much is there.
                let at = self.pick(count)?;
                ends[at] = self.u.arbitrary()?;
            } else if self.rarely(40)? {
                ends[count] = u64::MAX - self.pick(9)? as u64;
            }
            if all.is_empty() {
                ids = self.put(&[0])?;
                self.read.clear();
            } else {
                ids = self.put(&all)?;
            }
            offsets = self.put(&ends)?;
            if offsets.is_null() {
                id_width = all.len() / count.max(1);
            }
        } else if !self.rarely(4)? {
            let all: Vec<u8> =
                (0..count * width).map(|_| Ok(self.pick(3)? as u8)).collect::<Result<_>>()?;
            ids = self.put(&all)?;
            id_width = if self.rarely(16)? { 65 + self.pick(1000)? } else { width };
        }
        let batch_id = self.attribute()?;
        let columns = slotwise_columns_t {
            size: self.size::<slotwise_columns_t>()?,
            mode: self.number(2)?,
            common,
            ids: ids.cast(),
            id_offsets: offsets,
            id_width,
            cpu: column(self, count, 2, |s| s.amount(8_388_607))?,
            memory: column(self, count, 2, |s| s.amount(134_217_727))?,
            gpus: column(self, count, 6, |s| s.amount(255))?,
            selectors: column(self, count, 3, Self::selector)?,
            hashes: column(self, count, 4, |s| s.u.arbitrary())?,
            tickets: self.out(count)?,
            workers: self.out(count)?,
            versions: self.out(count)?,
            statuses: self.out(count)?,
            batch_id: batch_id.data,
            batch_id_length: batch_id.length,
            // A count that the memory has, or one that no call takes.
            count: if self.rarely(60)? { SLOTWISE_MAX_COUNT as usize + 1 } else { count },
            reserved: self.zero()?,
        };
        self.put(&[columns])
    }

    fn group(&mut self) -> Result<slotwise_group_t> {
        let steps = self.list(4, |s| {
            let id = s.text()?;
            Ok(slotwise_step_t {
                kind: 1 + s.number(3)?.min(u32::MAX - 1),
                reserved: s.zero()?,
                id: id.data,
                id_length: id.length,
                ticket: s.ticket()?,
                need: s.resources()?,
            })
        })?;
        Ok(slotwise_group_t {
            size: self.size::<slotwise_group_t>()?,
            reserved: self.zero()?,
            worker: self.text()?,
            step_count: steps.len(),
            steps: self.put(&steps)?,
            done: self.out(steps.len())?,
        })
    }

    /// A handle and what must be said of it.
    fn handle(&mut self) -> Result<(slotwise_engine_t, Known)> {
        let mut engine = if self.handles.is_empty() || self.rarely(40)? {
            self.u.arbitrary()?
        } else {
            let at = self.pick(self.handles.len())?;
            self.handles[at].engine
        };
        if self.rarely(60)? {
            engine ^= 1 << self.pick(64)?;
        }
        Ok((engine, self.known(engine)))
    }

    fn known(&self, engine: slotwise_engine_t) -> Known {
        match self.handles.iter().find(|h| h.engine == engine && h.references > 0) {
            None => Known::Stale,
            Some(handle) if handle.closed => Known::Closed,
            Some(_) => Known::Live,
        }
    }

    /// Makes one call, and looks at what it has done to the arena.
    fn call(&mut self) -> Result<()> {
        self.used = 8 * self.pick(16)?;
        (self.read, self.write) = (vec![], vec![]);
        let which = self.pick(61)?;
        let (engine, known) = self.handle()?;
        // Whether arrays that overlap must be refused.
        let mut apart = false;
        // Nothing is written between here and the call but through `put` and its like.
        let before;
        let at = self.handles.iter().position(|h| h.engine == engine && h.references > 0);
        macro_rules! go {
            ($call:expr) => {{
                before = self.arena.clone();
                // SAFETY: whatever is not NULL lies in the arena with all the entries that it is
                // said to have, unless the count alone says that nothing may be looked at.
                #[allow(unused_unsafe)]
                unsafe {
                    $call
                }
            }};
        }
        let status = match which {
            0 | 1 => {
                let config = [self.config()?];
                let config = self.put(&config)?;
                // The defaults reserve much.
                if config.is_null() || self.handles.len() >= 4 {
                    return Ok(());
                }
                let to: *mut u64 = self.out(1)?;
                let status = go!(slotwise_engine_new(config, to));
                if status == SLOTWISE_OK {
                    // SAFETY: written just now, in the arena.
                    let engine = unsafe { to.read_unaligned() };
                    assert!(self.handles.iter().all(|h| h.engine != engine), "a handle again");
                    self.handles.push(Handle { engine, references: 1, closed: false });
                }
                return self.judge(status, &before, None, false);
            }
            2 => {
                let status = go!(slotwise_engine_retain(engine));
                assert_eq!(status == SLOTWISE_OK, at.is_some());
                if let Some(at) = at {
                    self.handles[at].references += 1;
                }
                return self.judge(status, &before, None, false);
            }
            3 => {
                if !self.rarely(4)? {
                    return Ok(());
                }
                let status = go!(slotwise_engine_close(engine));
                assert_eq!(status == SLOTWISE_OK, at.is_some());
                if let Some(at) = at {
                    self.handles[at].closed = true;
                }
                return self.judge(status, &before, None, false);
            }
            4 => {
                if !self.rarely(4)? {
                    return Ok(());
                }
                let status = go!(slotwise_engine_free(engine));
                assert_eq!(status == SLOTWISE_OK, at.is_some());
                if let Some(at) = at {
                    self.handles[at].references -= 1;
                }
                return self.judge(status, &before, None, false);
            }
            5 => {
                let to = self.out(1)?;
                let status = go!(slotwise_config_default(to));
                return self.judge(status, &before, None, false);
            }
            6 => {
                let to: *mut slotwise_error_t = self.sized_out()?;
                let status = go!(slotwise_last_error(to));
                return self.compare(status, &before, false);
            }
            7 => {
                let capacity = self.pick(100)?;
                let (to, length) = (self.out_bytes(capacity)?, self.out(1)?);
                let status = go!(slotwise_last_error_text(to, capacity, length));
                return self.compare(status, &before, false);
            }
            8 => {
                let to = self.sized_out()?;
                go!(slotwise_engine_config(engine, to))
            }
            9 => {
                let constraints = [self.constraints()?];
                let (from, to) = (self.put(&constraints)?, self.out(1)?);
                let status = go!(slotwise_selector(engine, from, to));
                if status == SLOTWISE_OK {
                    // SAFETY: written just now, in the arena.
                    self.selectors.push(unsafe { to.read_unaligned() });
                }
                status
            }
            10 | 11 => {
                let spec = [self.spec()?];
                let (from, to): (_, *mut u64) = (self.put(&spec)?, self.out(1)?);
                let status = go!(slotwise_worker_add(engine, from, to));
                if status == SLOTWISE_OK && !to.is_null() {
                    // SAFETY: written just now, in the arena.
                    self.workers.push(unsafe { to.read_unaligned() });
                }
                status
            }
            12 => {
                apart = true;
                let specs = self.list(4, Self::spec)?;
                self.read.clear();
                let (from, stride) = self.put_strided(&specs)?;
                let count = self.count(specs.len())?;
                let (to, done): (*mut slotwise_added_t, _) =
                    (self.out(count.min(specs.len()))?, self.out(1)?);
                let status = go!(slotwise_workers_add(engine, from, stride, count, to, done));
                if status == SLOTWISE_OK && !to.is_null() {
                    for k in 0..count {
                        // SAFETY: written just now, in the arena.
                        self.workers.push(unsafe { (*to.add(k)).worker });
                    }
                }
                status
            }
            13 => {
                let (id, spec) = (self.text()?, [self.spec()?]);
                let spec = self.put(&spec)?;
                let fields = self.number(4096)?;
                let to = self.sized_out()?;
                go!(slotwise_worker_update(engine, id.data, id.length, spec, fields, to))
            }
            14 => {
                apart = true;
                let (id, capacity) = (self.text()?, self.pick(4)?);
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_worker_remove(engine, id.data, id.length, to, capacity, count))
            }
            15 => {
                apart = true;
                let capacity = self.pick(4)?;
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_lost_take(engine, to, capacity, count))
            }
            16 | 17 => {
                let (id, to) = (self.text()?, self.sized_out()?);
                let signals = [
                    slotwise_worker_ready,
                    slotwise_worker_unready,
                    slotwise_worker_cordon,
                    slotwise_worker_uncordon,
                    slotwise_worker_uncordon,
                    slotwise_worker_drain,
                ];
                let signal = signals[self.pick(signals.len())?];
                go!(signal(engine, id.data, id.length, to))
            }
            18 => {
                let (id, to) = (self.text()?, self.out(1)?);
                go!(slotwise_worker_find(engine, id.data, id.length, to))
            }
            19 => {
                let (worker, to) = (self.worker()?, self.sized_out()?);
                go!(slotwise_worker_info(engine, worker, to))
            }
            20 => {
                let (worker, to) = (self.worker()?, self.out(1)?);
                go!(slotwise_worker_snapshot(engine, worker, to))
            }
            21 => {
                apart = true;
                let worker = self.worker()?;
                let (field, index) =
                    (self.number(7)?, if self.rarely(2)? { self.number(3)? } else { 0 });
                let capacity = self.pick(80)?;
                let (to, length) = (self.out_bytes(capacity)?, self.out(1)?);
                go!(slotwise_worker_text(engine, worker, field, index, to, capacity, length))
            }
            22 => {
                apart = true;
                let (name, by, capacity) = (self.attribute()?, self.number(3)?, self.pick(5)?);
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_workers_list(engine, by, name.data, name.length, to, capacity, count))
            }
            23..=25 => {
                let request = [self.request(false)?];
                let (from, to) = (self.put(&request)?, self.out(1)?);
                let status = go!(slotwise_reserve(engine, from, to));
                self.placed(status, to);
                status
            }
            26 => {
                let request = [self.request(false)?];
                let worker = self.worker()?;
                let expected =
                    if self.rarely(3)? { vec![self.u.int_in_range(0..=9u64)?] } else { vec![] };
                let (from, expected) = (self.put(&request)?, self.put(&expected)?);
                let to = self.out(1)?;
                let status = go!(slotwise_reserve_on(engine, worker, from, expected, to));
                self.placed(status, to);
                status
            }
            27 => {
                let (id, to) = (self.text()?, self.out(1)?);
                let status = go!(slotwise_reservation(engine, id.data, id.length, to));
                self.placed(status, to);
                status
            }
            28 => {
                let (ticket, to) = (self.ticket()?, self.out(1)?);
                go!(slotwise_release(engine, ticket, to))
            }
            29 => {
                let (id, to) = (self.text()?, self.out(1)?);
                go!(slotwise_release_id(engine, id.data, id.length, to))
            }
            30 => {
                apart = true;
                let tickets = self.list(5, Self::ticket)?;
                let count = self.count(tickets.len())?;
                let from = self.put(&tickets)?;
                let room = count.min(tickets.len());
                let (statuses, released, done) = (self.out(room)?, self.out(room)?, self.out(1)?);
                go!(slotwise_release_batch(engine, from, count, statuses, released, done))
            }
            31 => {
                let (ticket, need) = (self.ticket()?, [self.resources()?]);
                let (need, to) = (self.put(&need)?, self.out(1)?);
                go!(slotwise_resize(engine, ticket, need, to))
            }
            32 => {
                let (id, need) = (self.text()?, [self.resources()?]);
                let (need, to) = (self.put(&need)?, self.out(1)?);
                go!(slotwise_resize_id(engine, id.data, id.length, need, to))
            }
            33 | 34 => {
                apart = true;
                let (batch, done) = (self.batch()?, self.out(1)?);
                go!(slotwise_reserve_batch(engine, batch, done))
            }
            35 => {
                apart = true;
                let (columns, done) = (self.columns()?, self.out(1)?);
                go!(slotwise_reserve_columns(engine, columns, done))
            }
            36 => {
                apart = true;
                let (batch, credited) = (self.batch()?, self.list(3, Self::ticket)?);
                let count = self.count(credited.len())?;
                let from = self.put(&credited)?;
                let (credited, done) = (from, self.out(1)?);
                go!(slotwise_dry_run(engine, batch, credited, count, done))
            }
            37 => {
                apart = true;
                let groups = self.list(3, Self::group)?;
                let (from, stride) = self.put_strided(&groups)?;
                let count = self.count(groups.len())?;
                go!(slotwise_groups_apply(engine, from, stride, count))
            }
            38 => {
                let to = self.sized_out()?;
                go!(slotwise_stats(engine, to))
            }
            39 => {
                apart = true;
                let (workers, reservations) = (self.out(1)?, self.out(1)?);
                go!(slotwise_counts(engine, workers, reservations))
            }
            40 => {
                apart = true;
                let capacity = self.pick(3)?;
                let (to, room) = (self.sized_out()?, self.out(capacity)?);
                go!(slotwise_audit(engine, to, room, capacity))
            }
            41 => {
                let (name, to) = (self.text()?, self.out(1)?);
                go!(slotwise_account(engine, name.data, name.length, to))
            }
            42 => {
                let (account, r) = (self.number(3)?, self.resources()?);
                let quota = [slotwise_quota_t {
                    cpu: r.cpu.saturating_mul(3),
                    memory: u64::MAX,
                    gpus: r.gpus,
                }];
                let quota = self.put(&quota)?;
                go!(slotwise_quota_set(engine, account, quota))
            }
            43 => {
                let (account, to) = (self.number(3)?, self.sized_out()?);
                go!(slotwise_usage(engine, account, to))
            }
            44 => {
                let (name, scope, to) = (self.text()?, self.number(3)?, self.out(1)?);
                let label =
                    if scope == SLOTWISE_SCOPE_LABEL { self.text()? } else { self.attribute()? };
                let (n, l) = (name, label);
                go!(slotwise_spread_group(engine, n.data, n.length, scope, l.data, l.length, to))
            }
            45 => {
                let (group, worker, to) = (self.number(3)?, self.worker()?, self.out(1)?);
                go!(slotwise_spread_count(engine, group, worker, to))
            }
            46 | 47 => {
                apart = true;
                let (now, capacity) = (self.time()?, self.pick(4)?);
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_tick(engine, now, to, capacity, count))
            }
            48 => {
                apart = true;
                let capacity = self.pick(4)?;
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_ended_take(engine, to, capacity, count))
            }
            49 => {
                let to = self.out(1)?;
                go!(slotwise_now(engine, to))
            }
            50 => {
                let (ticket, to) = (self.ticket()?, self.out(1)?);
                go!(slotwise_deadline(engine, ticket, to))
            }
            51 => {
                let (ticket, to) = (self.ticket()?, self.out(1)?);
                go!(slotwise_confirm(engine, ticket, to))
            }
            52 => {
                let (id, to) = (self.text()?, self.out(1)?);
                go!(slotwise_confirm_id(engine, id.data, id.length, to))
            }
            53 => {
                let (id, time) = (self.text()?, self.time()?);
                if self.rarely(2)? {
                    go!(slotwise_heartbeat(engine, id.data, id.length, time))
                } else {
                    let to = self.sized_out()?;
                    go!(slotwise_worker_ready_generation(engine, id.data, id.length, time, to))
                }
            }
            56 => {
                apart = true;
                let (worker, capacity) = (self.worker()?, self.pick(5)?);
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                go!(slotwise_worker_devices(engine, worker, to, capacity, count))
            }
            57 => {
                let (ticket, to) = (self.ticket()?, self.out(1)?);
                go!(slotwise_granted(engine, ticket, to))
            }
            58 => {
                apart = true;
                let capacity = self.pick(5)?;
                let (to, count, arrived) = (self.out(capacity)?, self.out(1)?, self.out(1)?);
                go!(slotwise_learned(engine, to, capacity, count, arrived))
            }
            59 => {
                let to = self.out(1)?;
                go!(slotwise_fragmentation(engine, to))
            }
            60 => {
                apart = true;
                let capacity = self.pick(5)?;
                let (to, count) = (self.out(capacity)?, self.out(1)?);
                let (before, after) = (self.out(1)?, self.out(1)?);
                go!(slotwise_repack(engine, to, capacity, count, before, after))
            }
            54 => {
                apart = true;
                let (from, to, capacity) = (self.text()?, self.text()?, self.pick(3)?);
                let (handed, lost, count) = (self.out(1)?, self.out(capacity)?, self.out(1)?);
                go!(slotwise_hand_off(
                    engine,
                    from.data,
                    from.length,
                    to.data,
                    to.length,
                    handed,
                    lost,
                    capacity,
                    count
                ))
            }
            _ => {
                let request = [self.request(false)?];
                let from = self.put(&request)?;
                if self.rarely(2)? {
                    apart = true;
                    let capacity = self.pick(3)?;
                    let (plan, to) = (self.sized_out()?, self.out(capacity)?);
                    let count = self.out(1)?;
                    go!(slotwise_preemption_plan(engine, from, plan, to, capacity, count))
                } else {
                    let victims = self.list(3, |s| {
                        Ok(slotwise_victim_t {
                            ticket: s.ticket()?,
                            amount: s.resources()?,
                            priority: 0,
                            flags: s.number(2)?,
                            id_length: s.zero()?,
                            reserved: s.zero()?,
                            id: [0; 64],
                        })
                    })?;
                    let leaving = victims.iter().filter(|v| v.flags == SLOTWISE_LEAVING).count();
                    let plan = slotwise_preemption_t {
                        size: self.size::<slotwise_preemption_t>()?,
                        reserved: self.zero()?,
                        worker: self.worker()?,
                        version: self.pick(24)? as u64,
                        victim_count: (victims.len() - leaving) as u64,
                        leaving_count: leaving as u64,
                    };
                    let (plan, count) = (self.put(&[plan])?, self.count(victims.len())?);
                    let (victims, to) = (self.put(&victims)?, self.out(1)?);
                    let status = go!(slotwise_preempt(engine, from, plan, victims, count, to));
                    self.placed(status, to);
                    status
                }
            }
        };
        self.judge(status, &before, Some(known), apart)
    }

    fn out_bytes(&mut self, capacity: usize) -> Result<*mut core::ffi::c_char> {
        let to: *mut core::ffi::c_char = self.out(capacity)?;
        // One range, not one for each byte.
        if !to.is_null() && capacity > 0 {
            let first = self.write[self.write.len() - capacity].start;
            self.write.truncate(self.write.len() - capacity);
            self.write.push(first..first + capacity);
        }
        Ok(to)
    }

    fn placed(&mut self, status: i32, to: *mut slotwise_placement_t) {
        if status == SLOTWISE_OK {
            // SAFETY: written just now, in the arena.
            let placed = unsafe { to.read_unaligned() };
            assert!(placed.status == SLOTWISE_OK && placed.ticket != 0, "{placed:?}");
            self.tickets.push(placed.ticket);
            self.workers.push(placed.worker);
        }
    }

    /// What is asked of every call.
    fn judge(
        &mut self,
        status: i32,
        before: &[u64],
        known: Option<Known>,
        apart: bool,
    ) -> Result<()> {
        match known {
            Some(Known::Stale) => assert_eq!(status, SLOTWISE_STALE_HANDLE),
            Some(Known::Closed) => assert_eq!(status, SLOTWISE_CLOSED),
            Some(Known::Live) => {
                assert!(status != SLOTWISE_STALE_HANDLE && status != SLOTWISE_CLOSED, "{status}");
            }
            None => {}
        }
        if status != SLOTWISE_OK {
            let mut error = core::mem::MaybeUninit::<slotwise_error_t>::zeroed();
            // SAFETY: a structure of its own, all integers, whose size is set.
            let error = unsafe {
                error.assume_init_mut().size = size_of::<slotwise_error_t>() as u32;
                assert_eq!(slotwise_last_error(error.as_mut_ptr()), SLOTWISE_OK);
                error.assume_init()
            };
            assert_eq!(error.status, status, "the last error is of another call");
            let mut length = 0;
            // SAFETY: no room is asked for; the length is our own.
            let told = unsafe { slotwise_last_error_text(core::ptr::null_mut(), 0, &mut length) };
            assert!(told == SLOTWISE_OK && length > 0, "a failure without a sentence");
        }
        self.compare(status, before, apart)
    }

    fn compare(&mut self, status: i32, before: &[u64], apart: bool) -> Result<()> {
        assert!(status != SLOTWISE_PANIC);
        // SAFETY: never NULL, ends with NUL, lives for ever.
        let text = unsafe { CStr::from_ptr(slotwise_status_text(status)) };
        assert!(text != c"unknown status", "{status}");
        let meet = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        if apart && status == SLOTWISE_OK {
            for (k, one) in self.write.iter().enumerate() {
                let others = self.read.iter().chain(&self.write[..k]);
                for other in others {
                    assert!(
                        !meet(one, other),
                        "results at {one:?} over {other:?} were not refused"
                    );
                }
            }
        }
        if before == self.arena {
            return Ok(());
        }
        // One failure says how much room it wants.
        let may_write = [SLOTWISE_OK, SLOTWISE_ARRAY_TOO_SMALL].contains(&status);
        assert!(may_write, "a call that failed wrote something: {status}");
        let at = |words: &[u64], k: usize| words[k / 8].to_ne_bytes()[k % 8];
        for k in 0..ARENA {
            let changed = before[k / 8] != self.arena[k / 8] && at(before, k) != at(&self.arena, k);
            let allowed = || self.write.iter().any(|range| range.contains(&k));
            assert!(!changed || allowed(), "byte {k} is no result: {:?}", self.write);
        }
        Ok(())
    }

    /// All books add up; then every reference is given back.
    fn finish(&mut self) {
        for handle in core::mem::take(&mut self.handles) {
            if handle.references > 0 && !handle.closed {
                let mut audit = slotwise_audit_t {
                    size: size_of::<slotwise_audit_t>() as u32,
                    ok: 0,
                    workers: 0,
                    reservations: 0,
                    over_committed: 0,
                    unsettled: 1,
                    imbalances: 1,
                };
                // SAFETY: our own structure; no room for imbalances.
                let status =
                    unsafe { slotwise_audit(handle.engine, &mut audit, core::ptr::null_mut(), 0) };
                assert_eq!(status, SLOTWISE_OK);
                assert_eq!((audit.ok, audit.unsettled, audit.imbalances), (1, 0, 0), "{audit:?}");
            }
            for _ in 0..handle.references {
                assert_eq!(slotwise_engine_free(handle.engine), SLOTWISE_OK);
            }
            assert_eq!(slotwise_engine_free(handle.engine), SLOTWISE_STALE_HANDLE);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut soup = Soup {
        u: Unstructured::new(data),
        arena: vec![0xA5A5_5A5A_C3C3_3C3C; ARENA / 8],
        used: 0,
        read: vec![],
        write: vec![],
        handles: vec![],
        tickets: vec![],
        workers: vec![],
        selectors: vec![],
    };
    // Most inputs are worth more with an engine.
    let config = slotwise_config_t {
        size: size_of::<slotwise_config_t>() as u32,
        flags: 0,
        max_workers: 12,
        max_reservations: 200,
        max_selectors: 8,
        max_batches: 3,
        policy: SLOTWISE_POLICY_DEFAULT,
        max_planners: 2,
        seed: 1,
        max_accounts: 3,
        max_groups: 3,
        max_unmet: 8,
    };
    let mut engine = 0;
    // SAFETY: our own structures.
    assert_eq!(unsafe { slotwise_engine_new(&config, &mut engine) }, SLOTWISE_OK);
    soup.handles.push(Handle { engine, references: 1, closed: false });
    for _ in 0..CALLS {
        if soup.u.is_empty() {
            break;
        }
        // Arguments that do not fit into the arena are no call.
        let _ = soup.call();
    }
    soup.finish();
});
