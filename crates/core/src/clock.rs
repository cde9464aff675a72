//! A clock that goes on while the machine sleeps: a lease runs out in the warehouse, whether or not this process noticed.

use std::time::Duration;

/// How long since some fixed point in time, time in which the machine was suspended included where the system has a clock
/// for that. <https://www.man7.org/linux/man-pages/man2/clock_gettime.2.html>
pub(crate) fn now() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_go_back() {
        let earlier = super::now();
        assert!(super::now() >= earlier);
    }
}
