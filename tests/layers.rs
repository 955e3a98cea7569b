//! The layers hold: imports go down only, atomics come from one place and live in few, `unsafe`
//! stays where it is allowed. The sources themselves are read.
//!
//! ```text
//! ffi, bin -> engine -> registry -> slots, ledger -> sync        placement: beside sync
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What each layer may name of the crate, beside itself.
const BELOW: [(&str, &[&str]); 7] = [
    ("sync", &[]),
    ("placement", &[]),
    ("slots", &["sync", "placement"]),
    ("ledger", &["sync", "placement"]),
    ("registry", &["slots", "ledger", "sync", "placement"]),
    ("engine", &["registry", "slots", "ledger", "sync", "placement"]),
    ("ffi", &["engine", "registry", "slots", "ledger", "sync", "placement"]),
];

/// Where `Atomic*` types may be named: the core, the statistics, and the table of handles.
const ATOMICS: [&str; 7] = [
    "sync.rs",
    "sync/",
    "slots/",
    "ledger/",
    "engine/stats.rs",
    "engine/counters.rs",
    "ffi/handle.rs",
];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 5] =
    ["ffi/", "slots/", "sync/chunked.rs", "sync/memory.rs", "placement/gpu/avx2.rs"];

/// Everything that a file, named by its path under `src`, does against the layers. `exports` says
/// which layer the names at the crate's root come from.
fn violations(path: &str, source: &str, exports: &HashMap<String, String>) -> Vec<String> {
    let code = without_comments_and_texts(source);
    let words = words(&code);
    let within = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    let file = path.rsplit('/').next().unwrap_or(path);
    // Models run on the checker's atomics and count with the standard library's.
    let model = ["loom_", "model_"].iter().any(|start| file.starts_with(start));
    let mut found = Vec::new();

    if words.contains(&"unsafe") && !within(&UNSAFE) {
        found.push("unsafe".to_string());
    }
    let atomic = |word: &&&str| {
        word.strip_prefix("Atomic").is_some_and(|rest| rest.starts_with(char::is_uppercase))
    };
    if let Some(word) = words.iter().find(atomic).filter(|_| !within(&ATOMICS)) {
        found.push(format!("{word} outside of the core"));
    }

    let own = layer_of(path);
    for name in paths(&words) {
        let segments: Vec<&str> = name.split("::").collect();
        let from_std = matches!(segments[..], ["std" | "core", "sync", "atomic", ..]);
        let in_sync = layer_of(path) == Some("sync");
        if (from_std || segments[0] == "portable_atomic") && !in_sync && !model {
            found.push(format!("{name}, which is sync's to name"));
        }
        if own == Some("placement") && matches!(segments[..], ["std", "time", ..]) {
            found.push(format!("{name}: placement has no clock"));
        }
        let Some(own) = own else { continue };
        let Some(named) = layer_named(path, &segments, exports) else { continue };
        let below = BELOW.iter().find(|(layer, _)| *layer == own).map_or(&[][..], |(_, b)| b);
        if named != own && !below.contains(&named.as_str()) {
            found.push(format!("{name}: {own} must not know {named}"));
        }
    }
    found
}

/// The layer that a file belongs to: none for the crate's root and for programs, which stand on
/// the whole crate.
fn layer_of(path: &str) -> Option<&str> {
    let first = path.split('/').next()?.trim_end_matches(".rs");
    BELOW.iter().map(|(layer, _)| *layer).find(|layer| *layer == first)
}

/// The layer that a path leads to, if it leads to one.
fn layer_named(path: &str, segments: &[&str], exports: &HashMap<String, String>) -> Option<String> {
    // The module that the file is, from the crate's root: `a/mod.rs` is `a`, `a/b.rs` is `a::b`.
    let mut module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    module.retain(|name| !matches!(*name, "mod" | "lib"));
    let mut rest = segments;
    match segments[0] {
        "crate" => {
            module.clear();
            rest = &segments[1..];
        }
        "super" | "self" => {
            while let Some((first, others)) = rest.split_first() {
                match *first {
                    "super" => drop(module.pop()),
                    "self" => {}
                    _ => break,
                }
                rest = others;
            }
        }
        _ => return None,
    }
    let first = module.first().or(rest.first())?;
    match BELOW.iter().find(|(layer, _)| layer == first) {
        Some((layer, _)) => Some(layer.to_string()),
        None => exports.get(*first).cloned(),
    }
}

/// Which layer each name comes from that the crate's root gives out.
fn exports(root: &str) -> HashMap<String, String> {
    let code = without_comments_and_texts(root);
    let mut exports = HashMap::new();
    for name in paths(&words(&code)) {
        let segments: Vec<&str> = name.split("::").collect();
        if let [layer, .., last] = segments[..] {
            exports.insert(last.to_string(), layer.to_string());
        }
    }
    exports
}

/// The source with what is no code blanked: comments (nested ones too), texts, characters.
fn without_comments_and_texts(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(raw) = raw_text(rest).filter(|_| !code.ends_with(is_word)) {
            raw
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match &text[at..] {
            rest if rest.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            rest if rest.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            rest => match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            },
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Length of a raw text that starts here: `r"..."`, `r#"..."#`, `br#"..."#`.
fn raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// Length of a text or character in quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (_, next) => next == Some('\''),
    }
}

/// Words and signs.
fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(c) = rest.chars().next() {
        let end = match c {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (word, others) = rest.split_at(end);
        words.push(word);
        rest = others.trim_start();
    }
    words
}

/// Every path in the code, with the trees of `use` spelled out: `a::{b, c::d}` is `a::b` and
/// `a::c::d`.
fn paths(words: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    // The open trees, each with the path that stands before its brace.
    let mut trees: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut before = "";
    for &word in words {
        let continues = before == "::";
        match word {
            "::" => path.push_str("::"),
            "{" if continues => trees.push(std::mem::take(&mut path)),
            _ if word.starts_with(is_word) || (word == "*" && continues) => {
                if !continues {
                    paths.push(std::mem::take(&mut path));
                    path = trees.last().cloned().unwrap_or_default();
                }
                path.push_str(word);
            }
            _ => {
                paths.push(std::mem::take(&mut path));
                if word == "}" {
                    trees.pop();
                }
                // A block that is no tree: its closing brace ends nothing.
                if word == "{" {
                    trees.push(String::new());
                }
            }
        }
        before = word;
    }
    paths.push(path);
    paths.retain(|path| path.contains("::"));
    paths.iter_mut().for_each(|path| {
        // `::std::x` is `std::x`.
        *path = path.trim_start_matches("::").to_string();
    });
    paths
}

/// Every Rust file under `src`, with its path there.
fn sources() -> Vec<(String, String)> {
    fn collect(directory: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                collect(&path, &format!("{prefix}{name}/"), into);
            } else if name.ends_with(".rs") {
                let source = fs::read_to_string(&path).expect("a readable source");
                into.push((format!("{prefix}{name}"), source));
            }
        }
    }
    let mut sources = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    sources
}

#[test]
fn layers_hold() {
    let sources = sources();
    let root = sources.iter().find(|(path, _)| path == "lib.rs").expect("src/lib.rs");
    let exports = exports(&root.1);
    for (layer, _) in BELOW.iter() {
        let met = sources.iter().any(|(path, _)| layer_of(path) == Some(layer));
        assert!(met, "no source in layer {layer}");
    }
    let found: Vec<String> = sources
        .iter()
        .flat_map(|(path, source)| {
            let found = violations(path, source, &exports);
            found.into_iter().map(move |what| format!("src/{path}: {what}"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn checker_catches_what_is_wrong() {
    let exports = exports("pub use engine::{Engine, Stats}; pub use ledger::{MAX_ID_LEN, Ticket};");
    let wrong = [
        ("engine/mod.rs", "use std::sync::atomic::Ordering;"),
        ("engine/mod.rs", "use std::{cell::Cell, sync::{Arc, atomic::{self, fence}}};"),
        ("slots/word.rs", "use core::sync::atomic::AtomicU64;"),
        ("slots/word.rs", "fn f() { portable_atomic::fence(x) }"),
        ("bin/slotwise/main.rs", "fn f() { ::std::sync::atomic::fence(x) }"),
        ("engine/mod.rs", "use crate::sync::AtomicU64;"),
        ("registry/mod.rs", "struct S { n: AtomicBool }"),
        ("slots/mod.rs", "use crate::registry::WorkerRef;"),
        ("slots/slot.rs", "use crate::{placement::Free, ledger::Ticket};"),
        ("ledger/mod.rs", "fn f() { crate::engine::go() }"),
        ("ledger/ids.rs", "use super::super::slots::Slot;"),
        ("registry/worker.rs", "use crate::Engine;"),
        ("registry/worker.rs", "use crate::{Ticket, Stats};"),
        ("placement/score.rs", "use crate::sync::fence;"),
        ("placement/score.rs", "use crate::MAX_ID_LEN;"),
        ("placement/order.rs", "fn f() { std::time::Instant::now() }"),
        ("sync.rs", "use crate::slots::Slot;"),
        ("registry/mod.rs", "fn f(a: &'static str) { /* \" */ unsafe { g() } }"),
        ("engine/mod.rs", "const Q: char = '\"'; unsafe impl Send for E {} const R: char = '\"';"),
    ];
    for (path, source) in wrong {
        assert_ne!(violations(path, source, &exports), Vec::<String>::new(), "{path}: {source}");
    }
}

#[test]
fn checker_lets_pass_what_is_right() {
    let exports = exports("pub use engine::Engine; pub use ledger::MAX_ID_LEN;");
    let right = [
        ("sync.rs", "pub use core::sync::atomic::{AtomicU32, fence}; use portable_atomic::X;"),
        ("slots/word.rs", "use crate::sync::{AtomicU64, Ordering}; use super::State;"),
        ("slots/mod.rs", "mod tests { use super::*; } fn f() { unsafe { g() } }"),
        ("ledger/loom_tests.rs", "use std::sync::atomic::Ordering;"),
        ("registry/mod.rs", "use crate::{slots::State, MAX_ID_LEN}; use std::sync::Arc;"),
        ("engine/stats.rs", "use crate::sync::AtomicU64;"),
        ("engine/mod.rs", "// unsafe std::sync::atomic::AtomicU64\nuse crate::registry::Name;"),
        (
            "engine/mod.rs",
            "/* unsafe /* nested */ unsafe */ const T: &str = \"unsafe \\\" unsafe\";",
        ),
        ("engine/mod.rs", "const T: &str = r#\"unsafe \" unsafe\"#; fn f<'a>(x: &'a Atomic) {}"),
        ("lib.rs", "mod engine; pub use engine::Engine; pub use registry::Name;"),
        ("bin/slotwise/main.rs", "use slotwise::Engine; use crate::replay::run;"),
    ];
    for (path, source) in right {
        assert_eq!(violations(path, source, &exports), Vec::<String>::new(), "{path}: {source}");
    }
}
