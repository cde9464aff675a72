//! A clock that goes on while the machine sleeps: a lease runs out in the warehouse, whether or not this process noticed.

use std::time::Duration;

/// How long since some fixed point in time, time in which the machine was suspended included where the system has a clock
/// for that. <https://www.man7.org/linux/man-pages/man2/clock_gettime.2.html>
pub(crate) fn now() -> Duration {
    #[cfg(test)]
    return awake() + SLEPT.get();
    #[cfg(not(test))]
    awake()
}

#[cfg(test)]
thread_local! {
    /// How long a test lets the machine have slept.
    static SLEPT: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// As if the machine had been suspended for a time: the clock has gone on, and nothing has run.
#[cfg(test)]
pub(crate) fn suspend(time: Duration) {
    SLEPT.set(SLEPT.get() + time);
}

fn awake() -> Duration {
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
    // What /proc/uptime tells counts suspension too, in hundredths of a second.
    // <https://www.man7.org/linux/man-pages/man5/proc_uptime.5.html>
    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_is_the_one_that_counts_suspension() {
        let before = super::now().as_millis() / 10;
        let text = std::fs::read_to_string("/proc/uptime").expect("the uptime");
        let after = super::now().as_millis() / 10;
        let (seconds, hundredths) = text.split_once(' ').and_then(|(up, _)| up.split_once('.')).expect("a number");
        let up = seconds.parse::<u128>().expect("seconds") * 100 + hundredths.parse::<u128>().expect("hundredths");
        assert!((before..=after).contains(&up), "{before} {up} {after}");
    }

    #[test]
    fn time_does_not_go_back() {
        let earlier = super::now();
        assert!(super::now() >= earlier);
    }
}
