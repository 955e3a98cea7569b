//! What the process uses of memory, as Linux counts it.

/// Bytes in memory now; none where the system does not say.
pub fn resident() -> Option<u64> {
    field("VmRSS:")
}

/// The most there has been.
pub fn peak() -> Option<u64> {
    field("VmHWM:")
}

/// Both numbers stand in one file, in KiB, so that no page size is needed.
fn field(name: &str) -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

fn parse(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_a_field_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(parse(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(parse(status, "VmSwap:"), None);
    }
}
