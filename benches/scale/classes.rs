//! By classes and labels: what a request may use, and how it is told apart.

use std::cell::RefCell;
use std::rc::Rc;

use slotwise::{Constraints, Selector};

use crate::cluster::{Cluster, Fill};
use crate::report::{self, Options, Row, Table, Unit};
use crate::{BARE, CALM, units};

const ONE_CLASS: &str = "1 class";

pub fn table(options: &Options) -> Table {
    let workers = if options.small() { 1_000 } else { 10_000 };
    let mut rows = units();
    let mut add = |cluster: &Rc<RefCell<Cluster>>, name: String, selectors: Vec<Selector>| {
        for fill in [Fill::Empty, Fill::Twentieth] {
            // Of many classes, some have nothing free then.
            if fill != Fill::Empty && selectors.len() > 1 {
                continue;
            }
            let (cluster, selectors) = (Rc::clone(cluster), selectors.clone());
            let run = move |pairs| {
                let detail = |request: slotwise::Request<'static>, k: usize| {
                    request.selector(selectors[k % selectors.len()])
                };
                cluster.borrow_mut().pairs(fill, pairs, detail)
            };
            let scenario = format!("{workers} workers, {}", fill.name());
            rows.push(Row::new(scenario, name.clone(), run).at_least(1));
        }
    };
    let shared = |cluster| Rc::new(RefCell::new(cluster));

    let plain = shared(Cluster::new(workers, |spec, _| spec));
    add(&plain, ONE_CLASS.to_owned(), vec![Selector::ANY]);
    for classes in [30, workers / 10] {
        let pool = |k| format!("pool-{}", k % classes);
        let cluster = Cluster::new(workers, |spec, k| spec.pool(pool(k)));
        let select = |k| {
            let pool = Constraints::new().pool(pool(k));
            cluster.engine.selector(&pool).expect("the constraints are valid")
        };
        // The class of a worker that is free in all rows.
        let one = select(cluster.last().index as usize);
        let each = (0..classes).map(select).collect();
        let cluster = shared(cluster);
        add(&cluster, format!("{classes} classes, requests match one"), vec![one]);
        add(&cluster, format!("{classes} classes, requests match each in turn"), each);
        add(&cluster, format!("{classes} classes, requests match all"), vec![Selector::ANY]);
    }

    let cluster = Cluster::new(workers, |spec, k| spec.label("host", format!("host-{k}")));
    let host = Constraints::new().label("host", format!("host-{}", cluster.last().index));
    let one = cluster.engine.selector(&host).expect("the constraints are valid");
    let cluster = shared(cluster);
    add(&cluster, "a label each, requests name none".to_owned(), vec![Selector::ANY]);
    add(&cluster, "a label each, requests name one".to_owned(), vec![one]);

    report::interleave(&mut rows, options);
    let units = [BARE, CALM, ONE_CLASS].map(Unit::cost);
    report::table("Classes of equal rank, and unique labels, one thread", &rows, &units, options)
}
