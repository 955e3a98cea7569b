//! Reads a trace in the two openb CSV forms. Every row is checked before anything is placed.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::RangeInclusive,
    path::Path,
};

use csv::StringRecord;
use slotwise::{MAX_ID_LEN, MAX_LIST_LEN, MAX_NAME_LEN, Resources};

use crate::failure::Failure;

/// Thousandths of one device.
pub const DEVICE: u64 = 1000;

/// One machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub total: Resources,
    /// Of its GPUs; empty where there are none.
    pub model: String,
}

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Not unique: published runs fill up a trace with pods drawn from it again.
    pub name: String,
    pub cpu: u64,
    pub memory: u64,
    pub num_gpu: u64,
    /// Of each of its devices.
    pub gpu_milli: u64,
    /// Which models it may use: index into [`Trace::model_sets`].
    pub models: usize,
}

impl Pod {
    /// What it asks of the cluster's GPUs in all.
    pub fn asks_milli(&self) -> u64 {
        self.num_gpu * self.gpu_milli
    }

    /// What it takes when a part of a device is rounded up to a whole one.
    pub fn whole_devices(&self) -> Resources {
        Resources::new(self.cpu, self.memory).gpus(self.num_gpu)
    }
}

/// Nodes in tie-break order, pods in order of arrival.
#[derive(Debug)]
pub struct Trace {
    pub nodes: Vec<Node>,
    pub pods: Vec<Pod>,
    /// Each distinct set of allowed models once, sorted; the first, empty, allows any.
    pub model_sets: Vec<Vec<String>>,
}

impl Trace {
    pub fn read(nodes: &Path, pods: &Path) -> Result<Trace, Failure> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|e| Failure::file(path, "cannot read", e));
        let (node_text, pod_text) = (read(nodes)?, read(pods)?);
        let nodes = read_nodes(nodes, &node_text)?;
        let (pods, model_sets) = read_pods(pods, &pod_text)?;
        Ok(Trace { nodes, pods, model_sets })
    }

    /// All the GPUs there are, in thousandths.
    pub fn capacity_milli(&self) -> u64 {
        self.nodes.iter().map(|node| node.total.gpus * DEVICE).sum()
    }

    /// May this pod use this node's model?
    pub fn allows(&self, pod: &Pod, node: &Node) -> bool {
        let models = &self.model_sets[pod.models];
        models.is_empty() || models.contains(&node.model)
    }
}

fn read_nodes(path: &Path, text: &[u8]) -> Result<Vec<Node>, Failure> {
    let limit = Resources::MAX;
    let mut nodes = Vec::new();
    let mut names = HashSet::new();
    for_each_row(path, text, &["sn", "cpu_milli", "memory_mib", "gpu", "model"], |row| {
        let name = row.name("sn", 1..=MAX_ID_LEN)?;
        if !names.insert(name.to_owned()) {
            return Err(row.refuse("sn", "a name that no row above has", quoted(name)));
        }
        let gpus = row.number("gpu", 0..=limit.gpus)?;
        let total = Resources::new(
            row.number("cpu_milli", 0..=limit.cpu)?,
            row.number("memory_mib", 0..=limit.memory)?,
        )
        .gpus(gpus);
        let model = if gpus == 0 { "" } else { row.name("model", 0..=MAX_NAME_LEN)? };
        nodes.push(Node { name: name.to_owned(), total, model: model.to_owned() });
        Ok(())
    })?;
    Ok(nodes)
}

fn read_pods(path: &Path, text: &[u8]) -> Result<(Vec<Pod>, Vec<Vec<String>>), Failure> {
    let limit = Resources::MAX;
    let (mut pods, mut model_sets) = (Vec::new(), vec![Vec::new()]);
    let mut known = HashMap::from([(Vec::new(), 0)]);
    let columns = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"];
    for_each_row(path, text, &columns, |row| {
        let name = row.name("name", 1..=MAX_NAME_LEN)?.to_owned();
        let cpu = row.number("cpu_milli", 0..=limit.cpu)?;
        let memory = row.number("memory_mib", 0..=limit.memory)?;
        let num_gpu = row.number("num_gpu", 0..=limit.gpus)?;
        let gpu_milli = match num_gpu {
            0 => row.number("gpu_milli", 0..=DEVICE)?,
            1 => row.number("gpu_milli", 1..=DEVICE)?,
            _ => row.number("gpu_milli", DEVICE..=DEVICE)?,
        };
        if cpu == 0 && memory == 0 && num_gpu == 0 {
            return Err(row.refuse("cpu_milli", "a pod that needs something", "0 of everything"));
        }
        // Pods without GPUs may run on any node, whatever the column says.
        let models = if num_gpu == 0 { Vec::new() } else { row.models("gpu_spec")? };
        let models = *known.entry(models).or_insert_with_key(|models| {
            model_sets.push(models.clone());
            model_sets.len() - 1
        });
        pods.push(Pod { name, cpu, memory, num_gpu, gpu_milli, models });
        Ok(())
    })?;
    Ok((pods, model_sets))
}

/// One row, and what is needed to say what is wrong with it.
struct Row<'a> {
    path: &'a Path,
    text: &'a [u8],
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl<'a> Row<'a> {
    fn refuse(&self, field: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Failure {
        let line = line_of(self.text, self.record.position());
        bad_field(self.path, line, field, expected, got)
    }

    /// A column's value, or nothing where the file has no such column.
    fn optional(&self, column: &str) -> Result<Option<&'a str>, Failure> {
        let Some(index) = self.header.iter().position(|name| name == column) else {
            return Ok(None);
        };
        let value = self.record.get(index);
        value.map(Some).ok_or_else(|| self.refuse(column, "a value", "the end of the row"))
    }

    fn text(&self, column: &str) -> Result<&'a str, Failure> {
        Ok(self.optional(column)?.expect("the header was checked for the columns that must be"))
    }

    fn number(&self, column: &str, range: RangeInclusive<u64>) -> Result<u64, Failure> {
        let text = self.text(column)?;
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
            let (from, to) = range.into_inner();
            let expected = if from == to {
                format!("{from}")
            } else {
                format!("a whole number from {from} to {to}")
            };
            self.refuse(column, expected, quoted(text))
        })
    }

    /// A name of so many bytes.
    fn name(&self, column: &str, length: RangeInclusive<usize>) -> Result<&'a str, Failure> {
        let name = self.text(column)?;
        if !length.contains(&name.len()) {
            let (from, to) = length.into_inner();
            let expected = format!("a name of {from} to {to} bytes");
            return Err(self.refuse(column, expected, quoted(name)));
        }
        Ok(name)
    }

    /// `A|B` as a sorted set; an absent or empty column allows any model.
    fn models(&self, column: &str) -> Result<Vec<String>, Failure> {
        let text = self.optional(column)?.unwrap_or("");
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut models = Vec::new();
        for name in text.split('|').map(str::trim) {
            if name.is_empty() || name.len() > MAX_NAME_LEN {
                let expected = format!("models as in 'A|B', of 1 to {MAX_NAME_LEN} bytes");
                return Err(self.refuse(column, expected, quoted(text)));
            }
            models.push(name.to_owned());
        }
        models.sort();
        models.dedup();
        if models.len() > MAX_LIST_LEN {
            let expected = format!("at most {MAX_LIST_LEN} models");
            return Err(self.refuse(column, expected, models.len()));
        }
        Ok(models)
    }
}

/// Calls `each` for every row below a header that has `columns`; other columns are ignored.
fn for_each_row<'a>(
    path: &'a Path,
    text: &'a [u8],
    columns: &[&str],
    mut each: impl FnMut(&Row<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Flexible: a row of another length than the header's is reported below, by field.
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    // Reading from memory, only the encoding can be wrong.
    let bad_csv = |e: csv::Error, header: &StringRecord| {
        let field = match e.kind() {
            csv::ErrorKind::Utf8 { err, .. } => header.get(err.field()).unwrap_or("header"),
            _ => "row",
        };
        bad_field(path, line_of(text, e.position()), field, "text in UTF-8", "other bytes")
    };
    let header = reader.headers().map_err(|e| bad_csv(e, &StringRecord::new()))?.clone();
    for &column in columns {
        let found = header.iter().filter(|name| *name == column).count();
        if found != 1 {
            let names = quoted(&header.iter().collect::<Vec<_>>().join(","));
            let expected = "one column of this name in the header";
            return Err(bad_field(path, line_of(text, header.position()), column, expected, names));
        }
    }
    let mut record = StringRecord::new();
    let mut rows = 0u64;
    while reader.read_record(&mut record).map_err(|e| bad_csv(e, &header))? {
        let row = Row { path, text, header: &header, record: &record };
        each(&row)?;
        if record.len() != header.len() {
            let expected = format!("{} fields, as in the header", header.len());
            return Err(row.refuse(
                header.get(record.len()).unwrap_or("after the last"),
                expected,
                record.len(),
            ));
        }
        rows += 1;
    }
    if rows == 0 {
        let line = line_of(text, None);
        return Err(bad_field(path, line, columns[0], "at least one row", "the end of the file"));
    }
    Ok(())
}

fn bad_field(
    path: &Path,
    line: usize,
    field: &str,
    expected: impl fmt::Display,
    got: impl fmt::Display,
) -> Failure {
    Failure::Unusable(format!(
        "{}:{line}: field '{field}': expected {expected}, got {got}",
        path.display()
    ))
}

/// Text from the input as part of one line: control characters escaped, no longer than it helps.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() { format!("'{start}...'") } else { format!("'{start}'") }
}

/// The line on which a record starts; without a position, the last line. Counted here, because the
/// reader's own count is that of the blank lines that it skips before a record.
fn line_of(text: &[u8], position: Option<&csv::Position>) -> usize {
    let start = position.map_or(text.len(), |p| p.byte() as usize);
    let blank = text[start..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    1 + text[..start + blank].iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n";
    const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n";

    fn nodes(rows: &str) -> Result<Vec<Node>, Failure> {
        read_nodes(Path::new("N.csv"), format!("{NODES}{rows}").as_bytes())
    }

    fn pods(rows: &str) -> Result<(Vec<Pod>, Vec<Vec<String>>), Failure> {
        read_pods(Path::new("P.csv"), format!("{PODS}{rows}").as_bytes())
    }

    #[track_caller]
    fn refused<T: fmt::Debug>(result: Result<T, Failure>, line: &str) {
        assert_eq!(result.unwrap_err(), Failure::Unusable(line.to_owned()));
    }

    #[test]
    fn reads_nodes() {
        let read = nodes("a,64000,262144,2,P100\nb,1000,2000,0,ignored\n").unwrap();
        assert_eq!(read[0].total, Resources::new(64_000, 262_144).gpus(2));
        assert_eq!((&*read[0].name, &*read[0].model), ("a", "P100"));
        assert_eq!((&*read[1].name, &*read[1].model), ("b", ""));
    }

    #[test]
    fn reads_both_forms_of_pods() {
        let long = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase\n\
                    p,6000,12288,1,460,T4|A10|T4,LS,Running\n\
                    q,1,1,0,0,T4,LS,Running\n";
        let (read, sets) = read_pods(Path::new("P.csv"), long.as_bytes()).unwrap();
        assert_eq!(sets, [vec![], vec!["A10".to_owned(), "T4".to_owned()]]);
        assert_eq!((read[0].asks_milli(), read[0].models), (460, 1));
        assert_eq!(read[0].whole_devices(), Resources::new(6000, 12_288).gpus(1));
        assert_eq!(read[1].models, 0, "a pod without GPUs may use any node");

        let short = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,6000,12288,2,1000\n";
        let (read, sets) = read_pods(Path::new("P.csv"), short.as_bytes()).unwrap();
        assert_eq!((read[0].asks_milli(), read[0].models, sets.len()), (2000, 0, 1));
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "model,extra,gpu,memory_mib,sn,cpu_milli\nT4,?,1,2,a,3\n";
        let read = read_nodes(Path::new("N.csv"), text.as_bytes()).unwrap();
        assert_eq!(read[0].total, Resources::new(3, 2).gpus(1));
    }

    #[test]
    fn a_byte_order_mark_and_other_line_ends_are_fine() {
        let text = "\u{feff}sn,cpu_milli,memory_mib,gpu,model\r\na,1,2,0,\r\n\r\nb,1,x,0,\r\n";
        refused(
            read_nodes(Path::new("N.csv"), text.as_bytes()),
            "N.csv:4: field 'memory_mib': expected a whole number from 0 to 134217727, got 'x'",
        );
    }

    #[test]
    fn names_the_line_also_after_blank_lines_and_quoted_breaks() {
        refused(
            nodes("\"a\nb\",1,1,0,\n\n\nc,-1,1,0,\n"),
            "N.csv:6: field 'cpu_milli': expected a whole number from 0 to 8388607, got '-1'",
        );
    }

    #[test]
    fn refuses_what_cannot_be_right() {
        let cases = [
            ("p,1,1,1,1001,", "gpu_milli", "a whole number from 1 to 1000, got '1001'"),
            ("p,1,1,1,0,", "gpu_milli", "a whole number from 1 to 1000, got '0'"),
            ("p,1,1,2,500,", "gpu_milli", "1000, got '500'"),
            ("p,1,1,0,2000,", "gpu_milli", "a whole number from 0 to 1000, got '2000'"),
            ("p,1,1,256,1000,", "num_gpu", "a whole number from 0 to 255, got '256'"),
            ("p,1.5,1,0,0,", "cpu_milli", "a whole number from 0 to 8388607, got '1.5'"),
            ("p,,1,0,0,", "cpu_milli", "a whole number from 0 to 8388607, got ''"),
            ("p,0,0,0,0,", "cpu_milli", "a pod that needs something, got 0 of everything"),
            (",1,1,0,0,", "name", "a name of 1 to 255 bytes, got ''"),
            ("p,1,1,1,1000,A||B", "gpu_spec", "models as in 'A|B', of 1 to 255 bytes, got 'A||B'"),
            ("p,1,1,1", "gpu_milli", "a value, got the end of the row"),
            ("p,1,1,0,0", "gpu_spec", "6 fields, as in the header, got 5"),
            ("p,1,1,0,0,,,", "after the last", "6 fields, as in the header, got 8"),
        ];
        for (row, field, rest) in cases {
            refused(
                pods(&format!("ok,1,1,0,0,\n{row}\n")),
                &format!("P.csv:3: field '{field}': expected {rest}"),
            );
        }
        let long = "m".repeat(256);
        refused(
            nodes(&format!("a,1,1,1,{long}\n")),
            &format!(
                "N.csv:2: field 'model': expected a name of 0 to 255 bytes, got '{}...'",
                &long[..80]
            ),
        );
    }

    #[test]
    fn refuses_files_without_header_or_rows() {
        let read = |text: &str| read_nodes(Path::new("N.csv"), text.as_bytes());
        let one = "expected one column of this name in the header, got";
        refused(read(""), &format!("N.csv:1: field 'sn': {one} ''"));
        refused(read("a,1,1,0,\n"), &format!("N.csv:1: field 'sn': {one} 'a,1,1,0,'"));
        refused(
            read("sn,sn,cpu_milli,memory_mib,gpu,model\n"),
            &format!("N.csv:1: field 'sn': {one} 'sn,sn,cpu_milli,memory_mib,gpu,model'"),
        );
        refused(
            read(NODES),
            "N.csv:2: field 'sn': expected at least one row, got the end of the file",
        );
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        let bytes = [NODES.as_bytes(), b"a,1,1,0,\n\xff,1,1,0,\n"].concat();
        refused(
            read_nodes(Path::new("N.csv"), &bytes),
            "N.csv:3: field 'sn': expected text in UTF-8, got other bytes",
        );
    }
}
