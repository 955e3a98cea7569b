//! include/slotwise.h is what src/ffi says: made anew and compared. `SLOTWISE_WRITE=1` writes it.

use std::fs;
use std::path::Path;

/// The parts of src/ffi, in the order of the manual.
const PARTS: [&str; 27] = [
    "limits",
    "status",
    "failure",
    "handle",
    "args",
    "engine",
    "selectors",
    "workers",
    "life",
    "listing",
    "devices",
    "accounts",
    "terms",
    "reserve",
    "release",
    "batch",
    "columns",
    "dry_run",
    "suppose",
    "explain",
    "unmet",
    "mix",
    "group",
    "clock",
    "hand_off",
    "preempt",
    "report",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header that the sources make.
fn generated() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("a config");
    let version = env!("CARGO_PKG_VERSION");
    let mut numbers = version.split('.');
    let mut defines = format!(
        "/* The version of this header; slotwise_version() is that of the library that runs. */\n\
         #define SLOTWISE_VERSION \"{version}\""
    );
    for part in ["MAJOR", "MINOR", "PATCH"] {
        let number = numbers.next().expect("three numbers");
        defines += &format!("\n#define SLOTWISE_VERSION_{part} {number}");
    }
    config.after_includes = config.after_includes.map(|text| text.replace("@VERSION@", &defines));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for part in PARTS {
        builder = builder.with_src(root().join(format!("src/ffi/{part}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("a header").write(&mut header);
    String::from_utf8(header).expect("text")
}

#[test]
fn header_is_fresh() {
    let path = root().join("include/slotwise.h");
    let generated = generated();
    if std::env::var_os("SLOTWISE_WRITE").is_some() {
        fs::write(&path, &generated).expect("a writable header");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "include/slotwise.h is not what src/ffi says (from line {:?}): \
         SLOTWISE_WRITE=1 cargo test --test header",
        differs.map(|line| line + 1)
    );
}

#[test]
fn every_file_of_the_interface_is_in_the_header() {
    let mut files: Vec<String> = fs::read_dir(root().join("src/ffi"))
        .expect("src/ffi")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().replace(".rs", ""))
        .collect();
    // `thread` exports nothing.
    files.retain(|file| !["mod", "panic_test", "thread"].contains(&file.as_str()));
    let mut parts = PARTS.map(String::from);
    files.sort();
    parts.sort();
    assert_eq!(files, parts);
}

/// Every function's comment, as the manual has it.
fn functions(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut open = false;
    for line in header.lines() {
        if line.starts_with("/**") {
            comment.clear();
            open = true;
        }
        if open {
            comment += line.trim_start_matches([' ', '*', '/']);
            comment.push('\n');
            open = !line.ends_with("*/");
        } else if let Some((before, _)) = line.split_once('(')
            && let Some(name) = before.split([' ', '*']).next_back()
            && name.starts_with("slotwise_")
            && !line.starts_with([' ', '#', '/'])
        {
            found.push((name.to_string(), std::mem::take(&mut comment)));
        }
    }
    found
}

#[test]
fn every_function_says_what_it_needs() {
    let header = generated();
    let functions = functions(&header);
    assert!(functions.len() > 35, "{} functions", functions.len());
    for (name, comment) in &functions {
        assert!(comment.contains("Threads: "), "{name} says nothing of threads");
        assert!(comment.contains("Safety: "), "{name} says nothing of safety");
        let fails = header.contains(&format!("int32_t {name}("));
        let never = ["slotwise_abi_version", "slotwise_version", "slotwise_status_text"];
        if fails && !never.contains(&name.as_str()) {
            assert!(comment.contains("Returns "), "{name} does not say what it returns");
        }
    }
    // What is named in a comment exists.
    for word in header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let known = |prefix: &str| header.contains(&format!("{prefix}{word}"));
        if word.starts_with("SLOTWISE_") && !word.ends_with('_') && word != "SLOTWISE_WRITE" {
            assert!(known("#define ") || word == "SLOTWISE_H", "{word} is no constant");
        } else if word.starts_with("slotwise_") && !word.ends_with("_t") {
            assert!(functions.iter().any(|(name, _)| name == word), "{word} is no function");
        }
    }
}
