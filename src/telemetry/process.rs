//! What the operating system knows of this process: `/proc/self` of Linux. Elsewhere nothing is known.

use std::fs;

/// The unit of times in `/proc`, which Linux fixes for programs at 100 a second.
const TICKS_A_SECOND: f64 = 100.0;
/// The unit of the sizes in `/proc/self/statm` on all platforms this program is built for.
const PAGE_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub open_files: u64,
    pub threads: u64,
}

impl Process {
    pub fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name may hold anything; what follows it are numbers.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        let cpu_seconds = (number(11)? + number(12)?) as f64 / TICKS_A_SECOND;
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Self { cpu_seconds, resident_bytes: pages * PAGE_BYTES, open_files, threads: number(17)? })
    }
}

/// Bytes of this process that are in memory; 0 if that is not known.
pub fn resident_bytes() -> u64 {
    Process::now().map_or(0, |process| process.resident_bytes)
}
