//! What is scarce, and what it costs: models that requests are bound to, and places for several
//! whole devices.
//!
//! Until the free devices are used up, so many requests of a kind are expected; a unit of what they
//! need is worth as much as it is likely that it will be needed (Littlewood's rule, 1972).

use super::{Kinds, ModelSet, Node, Shape, WHOLE, lanes::LANES, node::MAX_MODELS};

/// Numbers of whole devices that are kept together.
pub const PLACES: [u8; 4] = [16, 8, 4, 2];

/// With fewer whole devices, a node has no place.
pub const LEAST_PLACE: u32 = PLACES[PLACES.len() - 1] as u32;

/// Requests are expected for so much of the free devices, in percent: more than all, since some
/// that come will be refused.
const HORIZON: f64 = 1.2;

/// By how much expectation and truth differ, in standard deviations of independent arrivals:
/// requests come in bursts.
const DOUBT: f64 = 2.0;

/// CPU is tight when the mix asks for so many times the free CPU for each free device.
const TIGHT: f64 = 1.1;

/// Steps of a price, so that it changes rarely.
const STEPS: i32 = 256;

/// What a request for several whole devices needs of CPU for each of [`PLACES`], on average, in
/// millicores; 0 where none came.
pub type Needs = [u32; PLACES.len()];

/// What all nodes have free, as far as prices depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    milli: [u64; MAX_MODELS],
    cpu: u64,
    places: [u64; PLACES.len()],
}

impl Supply {
    /// Nothing.
    pub const NONE: Supply = Supply { milli: [0; MAX_MODELS], cpu: 0, places: [0; PLACES.len()] };

    /// One more node.
    pub fn add(&mut self, node: &Node, needs: &Needs) {
        self.milli[usize::from(node.model())] += u64::from(node.free());
        self.cpu += u64::from(node.cpu);
        let here = places(node, needs);
        self.places.iter_mut().zip(here).for_each(|(sum, n)| *sum += u64::from(n));
    }

    fn free(&self) -> u64 {
        self.milli.iter().sum()
    }
}

/// How many requests for each of [`PLACES`] the node could take, each with the CPU that such a
/// request needs.
#[inline]
pub fn places(node: &Node, needs: &Needs) -> [u8; PLACES.len()] {
    places_in(node.whole(), node.cpu, needs)
}

/// The same of so many whole devices and so much CPU.
#[inline]
pub fn places_in(whole: u32, cpu: u32, needs: &Needs) -> [u8; PLACES.len()] {
    core::array::from_fn(|i| {
        let n = whole / u32::from(PLACES[i]);
        if n == 0 { 0 } else { n.min(cpu.checked_div(needs[i]).unwrap_or(n)) as u8 }
    })
}

/// The CPU that requests for several devices need.
pub fn needs(kinds: &Kinds) -> Needs {
    PLACES.map(|k| {
        let (mut cpu, mut places) = (0.0, 0.0);
        for (shape, count) in kinds.iter().filter(|(shape, _)| shape.num_gpu() >= k) {
            places += count as f64 * f64::from(shape.num_gpu()) / f64::from(k);
            cpu += count as f64 * f64::from(shape.cpu());
        }
        if places > 0.0 { (cpu / places) as u32 } else { 0 }
    })
}

/// Takes over what requests need now where it differs by more than an eighth: places are counted
/// anew for each change.
pub fn follow(needs: &mut Needs, now: Needs) {
    for (old, now) in needs.iter_mut().zip(now) {
        if old.abs_diff(now) > *old / 8 {
            *old = now;
        }
    }
}

/// What an average request asks for: thousandths of devices, and millicores.
fn average(kinds: &Kinds) -> (f64, f64) {
    let sum = |amount: &dyn Fn(&Shape) -> u32| {
        let sum: f64 = kinds.iter().map(|(s, count)| f64::from(amount(s)) * count as f64).sum();
        sum / kinds.total().max(1) as f64
    };
    (sum(&Shape::asks), sum(&Shape::cpu))
}

/// Whether CPU will be used up before the devices are.
pub fn cpu_is_tight(kinds: &Kinds, supply: &Supply) -> bool {
    let (milli, cpu) = average(kinds);
    cpu * supply.free() as f64 > TIGHT * supply.cpu as f64 * milli
}

/// Prices, in steps of 1/[`STEPS`] of what is priced: a model of a device of that model, a place of
/// its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    model: [i32; MAX_MODELS],
    place: [i32; PLACES.len()],
}

impl Prices {
    /// Nothing is scarce.
    pub const NONE: Prices = Prices { model: [0; MAX_MODELS], place: [0; PLACES.len()] };

    /// For the requests met so far and what is free. Cost: linear in kinds and models.
    pub fn of(kinds: &Kinds, supply: &Supply) -> Prices {
        let horizon = HORIZON * supply.free() as f64 / average(kinds).0.max(1.0);
        let each = horizon / kinds.total().max(1) as f64;
        Prices { model: models(kinds, supply, each), place: places_prices(kinds, supply, each) }
    }

    /// What a request pays on each model, in thousandths of a device times [`LANES`]. One that is bound to
    /// models pays the same there, and has less to choose from.
    pub fn of_models(&self, shape: &Shape) -> [i32; MAX_MODELS] {
        let asks = shape.asks() as i32 * LANES as i32;
        self.model.map(|price| price * asks / STEPS)
    }

    /// What a place of each size costs, in thousandths of a device times [`LANES`].
    pub fn of_places(&self) -> [i32; PLACES.len()] {
        let whole = i32::from(WHOLE) * LANES as i32;
        core::array::from_fn(|i| self.place[i] * i32::from(PLACES[i]) * whole / STEPS)
    }
}

fn places_prices(kinds: &Kinds, supply: &Supply, each: f64) -> [i32; PLACES.len()] {
    core::array::from_fn(|i| {
        let k = PLACES[i];
        let several = kinds.iter().filter(|(shape, _)| shape.num_gpu() >= k);
        let demand: f64 = several
            .map(|(shape, count)| each * count as f64 * f64::from(shape.num_gpu()) / f64::from(k))
            .sum();
        let spread = DOUBT * (demand + 1.0).sqrt();
        if demand > 0.0 { step(tail((supply.places[i] as f64 - demand) / spread)) } else { 0 }
    })
}

/// Bound demand is spread over the models that it may use so that all are as short as can be: the
/// most bound first, each in portions to the model that is then the least short.
fn models(kinds: &Kinds, supply: &Supply, each: f64) -> [i32; MAX_MODELS] {
    const PORTIONS: usize = 20;
    let mut sets: Vec<(u32, ModelSet, f64, f64)> = Vec::new();
    for (shape, count) in kinds.iter().filter(|(s, _)| s.models() != ModelSet::ANY) {
        let asks = f64::from(shape.asks());
        let (sum, squares) = (each * count as f64 * asks, each * count as f64 * asks * asks);
        match sets.iter_mut().find(|(_, set, ..)| *set == shape.models()) {
            Some((.., all, all_squares)) => {
                (*all, *all_squares) = (*all + sum, *all_squares + squares)
            }
            None => sets.push((shape.models().len(), shape.models(), sum, squares)),
        }
    }
    sets.sort_by_key(|&(len, set, ..)| (len, set));
    let free = supply.milli.map(|milli| milli as f64);
    let (mut load, mut variance) = ([0.0; MAX_MODELS], [0.0; MAX_MODELS]);
    for (_, set, sum, squares) in sets {
        let allowed = || (0..MAX_MODELS).filter(|&m| set.contains(m as u8) && free[m] > 0.0);
        for _ in 0..PORTIONS {
            let short = |m: usize| load[m] / free[m];
            let least = allowed().reduce(|a, b| if short(b) < short(a) { b } else { a });
            let Some(m) = least else { break };
            load[m] += sum / PORTIONS as f64;
            variance[m] += squares / PORTIONS as f64;
        }
    }
    core::array::from_fn(|m| {
        let whole = f64::from(WHOLE);
        let spread = DOUBT * (variance[m] + whole * whole).sqrt();
        if load[m] > 0.0 { step(tail((free[m] - load[m]) / spread)) } else { 0 }
    })
}

fn step(price: f64) -> i32 {
    (price * f64::from(STEPS) + 0.5) as i32
}

/// How likely a standard normal number is above `z`, within 0.01 (logistic approximation). By
/// multiplication alone, so that it is the same on every machine.
fn tail(z: f64) -> f64 {
    // exp(x) as (1 + x / 1024)^1024.
    let x = (1.702 * z).clamp(-30.0, 30.0);
    let exp = (0..10).fold(1.0 + x / 1024.0, |power, _| power * power);
    1.0 / (1.0 + exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(shapes: &[(u64, u64, ModelSet, usize)]) -> Kinds {
        let mut kinds = Kinds::default();
        for &(num_gpu, milli, models, times) in shapes {
            let shape = Shape::new(8000, 0, num_gpu, milli, models).unwrap();
            for _ in 0..times {
                kinds.count(&shape);
            }
        }
        kinds
    }

    fn supply(nodes: &[Node], needs: &Needs) -> Supply {
        let mut supply = Supply::NONE;
        nodes.iter().for_each(|node| supply.add(node, needs));
        supply
    }

    #[test]
    fn the_tail_is_that_of_a_normal_distribution() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.159), (-1.0, 0.841), (3.0, 0.001), (-90.0, 1.0)] {
            assert!((tail(z) - p).abs() < 0.01, "{z}: {}", tail(z));
        }
    }

    #[test]
    fn a_model_costs_what_those_bound_to_it_will_need() {
        let nodes = [0, 1].map(|model| Node::new(100_000, 1000, 8, model).unwrap());
        let supply = supply(&nodes, &[0; 4]);
        let unbound = Prices::of(&kinds(&[(1, 500, ModelSet::ANY, 9)]), &supply);
        assert_eq!(unbound, Prices::NONE);
        let only = ModelSet::of([1]);
        let prices = Prices::of(&kinds(&[(1, 500, only, 9)]), &supply);
        let any = Shape::new(1, 0, 1, 1000, ModelSet::ANY).unwrap();
        let bound = Shape::new(1, 0, 1, 1000, only).unwrap();
        assert_eq!(prices.of_models(&any)[0], 0);
        assert!(prices.of_models(&any)[1] > 900 * LANES as i32);
        assert_eq!(prices.of_models(&bound), prices.of_models(&any));
    }

    #[test]
    fn a_place_costs_once_it_is_scarce_and_needs_cpu() {
        let mix = kinds(&[(8, 1000, ModelSet::ANY, 5), (1, 1000, ModelSet::ANY, 5)]);
        let needs = needs(&mix);
        assert_eq!(needs, [0, 8000, 4000, 2000]);
        let node = Node::new(7000, 1000, 8, 0).unwrap();
        assert_eq!(places(&node, &needs), [0, 0, 1, 3]);
        let scarce = Prices::of(&mix, &supply(&[node; 4], &needs)).of_places();
        assert!(scarce[1] > 4000 * LANES as i32 && scarce[0] == 0);
        let plenty = kinds(&[(8, 1000, ModelSet::ANY, 1), (1, 1000, ModelSet::ANY, 900)]);
        let roomy = Node::new(90_000, 1000, 8, 0).unwrap();
        assert_eq!(Prices::of(&plenty, &supply(&[roomy; 900], &needs)), Prices::NONE);
    }

    #[test]
    fn cpu_is_tight_where_the_mix_asks_for_more_of_it_than_there_is() {
        let mix = kinds(&[(1, 1000, ModelSet::ANY, 5)]);
        let with = |cpu| supply(&[Node::new(cpu, 0, 8, 0).unwrap()], &[0; 4]);
        assert!(cpu_is_tight(&mix, &with(50_000)));
        assert!(!cpu_is_tight(&mix, &with(64_000)));
    }
}
