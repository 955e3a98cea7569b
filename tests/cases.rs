//! The table of host scenarios, tests/cases.txt, on the crate. Every binding reads the same table.

mod hosts;

use std::fs;
use std::path::Path;

#[test]
fn table_of_host_scenarios_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases.txt");
    let table = fs::read_to_string(path).expect("the table");
    let mut host: Option<hosts::Host> = None;
    let (mut count, mut steps) = (0, 0);
    for (at, line) in table.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("case ") {
            host.take().inspect(hosts::Host::audit);
            host = Some(hosts::Host::default());
            count += 1;
            continue;
        }
        let (left, right) = line.split_once("->").unwrap_or((line, ""));
        let host = host.as_mut().expect("a case comes first");
        let step = hosts::Step::of(left);
        let got = host.run(&step);
        for (key, expected) in hosts::pairs(right) {
            let value = got.get(key).map(String::as_str);
            let fits = expected.split('|').any(|one| value == Some(one));
            assert!(fits, "line {}: {line}\n{key} is {value:?}, of {got:?}", at + 1);
        }
        steps += 1;
    }
    host.inspect(hosts::Host::audit);
    assert!(count >= 20 && steps >= 100, "{count} cases of {steps} steps");
}
