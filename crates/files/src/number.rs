//! Numbers as text, exactly: a whole number may be written 5, 5.0 or 5e0, and nothing is ever rounded to one.
//! Words such as NaN and infinity are not numbers.

/// The most digits that a number may have once zeros at its ends are off; more fit no column.
const MOST_DIGITS: usize = 38;

/// A decimal number: `digits` × 10^`exponent`, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: u128,
    exponent: i32,
    /// Digits beyond the most were left off: no whole number, and only good to be cut.
    inexact: bool,
}

impl Decimal {
    /// `5`, `-5.25`, `.5`, `5e3`; `None` if it is no number.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let mut at = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
        let (mut digits, mut kept, mut exponent, mut seen, mut inexact) = (0_u128, 0, 0_i32, false, false);
        let mut fraction = false;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    if kept < MOST_DIGITS {
                        digits = digits * 10 + u128::from(byte - b'0');
                        kept += usize::from(digits != 0);
                        exponent = exponent.checked_sub(i32::from(fraction))?;
                    } else {
                        inexact |= byte != b'0';
                        exponent = exponent.checked_add(i32::from(!fraction))?;
                    }
                }
                b'.' if !fraction => fraction = true,
                _ => break,
            }
            at += 1;
        }
        if !seen {
            return None;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let power = text.get(at + 1..)?;
            let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            exponent = exponent.checked_add(power.parse().ok()?)?;
            at = bytes.len();
        }
        if at != bytes.len() {
            return None;
        }
        while digits != 0 && digits.is_multiple_of(10) {
            digits /= 10;
            exponent = exponent.checked_add(1)?;
        }
        Some(Self { negative, digits, exponent: if digits == 0 { 0 } else { exponent }, inexact })
    }

    /// The number times a power of ten as a whole number, what is beyond cut off; `None` if it is out of range.
    pub(crate) fn scaled(self, power: i32) -> Option<i64> {
        let exponent = self.exponent.checked_add(power)?;
        let factor = 10_u128.checked_pow(exponent.unsigned_abs());
        let (digits, rest) = match (exponent >= 0, factor) {
            (true, factor) => (self.digits.checked_mul(factor?)?, false),
            (false, Some(factor)) => (self.digits / factor, !self.digits.is_multiple_of(factor)),
            (false, None) => (0, self.digits != 0),
        };
        let digits = i128::try_from(digits).ok()?;
        // Cut towards the past, as the digits of a time before 1970 are.
        i64::try_from(if self.negative { -digits - i128::from(rest) } else { digits }).ok()
    }

    /// The whole number that it is.
    pub(crate) fn whole(self) -> Option<i64> {
        (self.exponent >= 0 && !self.inexact).then(|| self.scaled(0)).flatten()
    }
}

/// A whole number, exactly.
pub(crate) fn whole(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // Most are a few digits.
    if !bytes.is_empty() && bytes.len() <= 18 && bytes.iter().all(u8::is_ascii_digit) {
        return Some(bytes.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')));
    }
    Decimal::read(text)?.whole()
}

/// A floating-point number that is finite.
pub(crate) fn float(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    digits.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact() {
        for (text, expected) in [
            ("5", 5),
            ("5.0", 5),
            ("5.", 5),
            ("+5", 5),
            ("-5.000", -5),
            ("5e3", 5000),
            ("5.5e1", 55),
            ("500e-2", 5),
            ("-0", 0),
            ("0.000", 0),
            ("007", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("0e999999999", 0),
        ] {
            assert_eq!(whole(text), Some(expected), "{text}");
        }
        for text in [
            "5.0000004",
            "5.5",
            "4.9999999999999999999999999999999999999999999999",
            "9223372036854775808",
            "1e19",
            "1e999999999",
            "1e99999999999999",
            "",
            " 5",
            "5 ",
            "0x5",
            "5_000",
            "5,0",
            "1e",
            "e5",
            ".",
            "-",
            "--5",
            "NaN",
            "inf",
            "infinity",
            "٥",
            "5.0.0",
            "1e5.0",
            "1e+-5",
            "5.00000000000000000000000000000000000000000000000000000001",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn floats_are_finite_numbers() {
        assert_eq!(float("-52.5"), Some(-52.5));
        assert_eq!(float("1e-3"), Some(0.001));
        for text in ["NaN", "nan", "inf", "-Infinity", "1e999", "", "1,5", "0x1p3", "e", "-"] {
            assert_eq!(float(text), None, "{text}");
        }
    }
}
