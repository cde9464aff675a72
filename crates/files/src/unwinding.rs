//! Calls into a decoder that may panic on a damaged file: the panic becomes an error, without a word on the terminal.
//! The decoder must not be used again after it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What the decoder gives, or the message of its panic.
pub(crate) fn decode<Decoded>(call: impl FnOnce() -> Decoded) -> Result<Decoded, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                before(panic);
            }
        }));
    });
    IS_DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(call));
    IS_DECODING.set(false);
    decoded.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        message.unwrap_or("its decoder failed").to_owned()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(super::decode(|| 5), Ok(5));
        assert_eq!(super::decode(|| panic!("page {}", 3)), Err::<(), _>("page 3".to_owned()));
    }
}
