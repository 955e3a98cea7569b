//! Where the header is, for crates that build C against this one: `DEP_SLOTWISE_INCLUDE`.
//!
//! The name that programs load the shared library by is set where that library is built, in the
//! Makefile: cargo warns of link arguments for one in every build of a package that has only a
//! Rust library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::metadata=include={root}/include");
}
