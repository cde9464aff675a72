//! Go's `fmt.Sprintf` and `fmt.Sprint`, for the values that a template has.
//! Source: <https://pkg.go.dev/fmt>.

use gotmpl::Value;

/// The largest width and precision of an argument: beyond it, Go takes a number for no number.
const LARGEST: u64 = 1_000_000;

/// Writes text as a format says. `charge` is told how much each padding may write, and may refuse it.
pub(super) fn sprintf<E>(
    format: &str,
    arguments: &[Value],
    charge: impl Fn(usize) -> Result<(), E>,
) -> Result<String, E> {
    let mut text = String::new();
    let mut reader = Reader { rest: format, next: 0, reordered: false, arguments };
    while let Some((before, rest)) = reader.rest.split_once('%') {
        text.push_str(before);
        reader.rest = rest;
        let (directive, badly_indexed) = reader.directive(&mut text);
        let Some(verb) = reader.rest.chars().next() else {
            text.push_str("%!(NOVERB)");
            break;
        };
        reader.rest = &reader.rest[verb.len_utf8()..];
        // An element of a list is padded by itself.
        let argument = arguments.get(reader.next);
        let elements = argument.and_then(Value::len).unwrap_or(0).max(1);
        charge(directive.width.unwrap_or(0).max(directive.precision.unwrap_or(0)).saturating_mul(elements))?;
        match argument {
            _ if verb == '%' => text.push('%'),
            _ if badly_indexed => text.push_str(&format!("%!{verb}(BADINDEX)")),
            None => text.push_str(&format!("%!{verb}(MISSING)")),
            Some(argument) => {
                directive.of(verb).value(&mut text, verb, argument);
                reader.next += 1;
            }
        }
    }
    text.push_str(reader.rest);
    if !reader.reordered && reader.next < arguments.len() {
        let left: Vec<String> = arguments[reader.next..].iter().map(with_type).collect();
        text.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    Ok(text)
}

/// A value as Go prints it.
pub(super) fn sprint(value: &Value) -> String {
    let mut text = String::new();
    Directive::default().value(&mut text, 'v', value);
    text
}

/// A value behind the name of its type, as in Go's complaints.
fn with_type(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        value => format!("{}={}", type_name(value), sprint(value)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Function(_) => "func()",
    }
}

/// Reads the directives of a format, and knows which argument is next.
struct Reader<'a> {
    rest: &'a str,
    next: usize,
    /// Whether an argument was asked for by its number.
    reordered: bool,
    arguments: &'a [Value],
}

impl Reader<'_> {
    /// All of a directive up to its verb, and whether its indices are wrong.
    fn directive(&mut self, text: &mut String) -> (Directive, bool) {
        let mut directive = Directive::default();
        while let Some(flag) = self.rest.chars().next() {
            match flag {
                '+' => directive.plus = true,
                '-' => directive.left = true,
                '#' => directive.sharp = true,
                ' ' => directive.space = true,
                '0' => directive.zero = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        let mut bad = false;
        let mut indexed = self.index(&mut bad);
        if self.take("*") {
            match self.integer() {
                Some(width) => {
                    directive.left |= width < 0;
                    directive.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => text.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            directive.width = self.number();
            bad |= indexed && directive.width.is_some();
        }
        directive.zero &= !directive.left;
        if self.rest.len() > 1 && self.take(".") {
            bad |= indexed;
            indexed = self.index(&mut bad);
            if self.take("*") {
                directive.precision = self.integer().and_then(|precision| usize::try_from(precision).ok());
                if directive.precision.is_none() {
                    text.push_str("%!(BADPREC)");
                }
                indexed = false;
            } else {
                directive.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !indexed {
            self.index(&mut bad);
        }
        (directive, bad)
    }

    fn take(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        if digits.is_empty() {
            return None;
        }
        let number = digits
            .parse::<u64>()
            .ok()
            .filter(|number| *number / 10 <= LARGEST)
            .and_then(|number| number.try_into().ok());
        if number.is_none() {
            // Go gives up on the whole format.
            self.rest = "";
        }
        number
    }

    /// The next argument as a width or precision. It is used up, whatever it is.
    fn integer(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        let number = match argument {
            Value::Int(number) => Some(*number),
            Value::Uint(number) => i64::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| number.unsigned_abs() <= LARGEST)
    }

    /// An argument's number in brackets, from 1; whether one stands there that is a number.
    fn index(&mut self, bad: &mut bool) -> bool {
        if !self.rest.starts_with('[') {
            return false;
        }
        self.reordered = true;
        let Some((inner, rest)) = self.rest[1..].split_once(']') else {
            self.rest = &self.rest[1..];
            *bad = true;
            return false;
        };
        self.rest = rest;
        let digits = !inner.is_empty() && inner.chars().all(|character| character.is_ascii_digit());
        let number: Option<usize> = inner.parse().ok().filter(|_| digits);
        match number.and_then(|number| number.checked_sub(1)).filter(|position| *position < self.arguments.len()) {
            Some(position) => self.next = position,
            None => *bad = true,
        }
        number.is_some()
    }
}

/// What stands between a percent sign and its verb.
#[derive(Clone, Copy, Debug, Default)]
struct Directive {
    plus: bool,
    left: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: in Go's syntax.
    syntax: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Directive {
    /// With the flags that mean something else before `v`.
    fn of(mut self, verb: char) -> Self {
        if verb == 'v' {
            self.syntax = self.sharp;
            self.sharp = false;
            self.plus = false;
        }
        self
    }

    fn pad(&self, text: &mut String, shown: &str) {
        let missing = self.width.unwrap_or(0).saturating_sub(shown.chars().count());
        let padding = if self.zero { "0" } else { " " }.repeat(missing);
        let (first, second) = if self.left { (shown, padding.as_str()) } else { (padding.as_str(), shown) };
        text.push_str(first);
        text.push_str(second);
    }

    fn pad_with_blanks(&self, text: &mut String, shown: &str) {
        Self { zero: false, ..*self }.pad(text, shown);
    }

    fn value(&self, text: &mut String, verb: char, value: &Value) {
        match (value, verb) {
            (Value::Nil, 'v' | 'T') => self.pad(text, "<nil>"),
            (_, 'T') => self.string(text, 's', type_name(value)),
            (Value::List(items), verb) if verb != 'p' => {
                let (begin, between, end) = if self.syntax { ("[]interface {}{", ", ", "}") } else { ("[", " ", "]") };
                text.push_str(begin);
                for (number, item) in items.iter().enumerate() {
                    text.push_str(if number > 0 { between } else { "" });
                    self.inner(text, verb, item);
                }
                text.push_str(end);
            }
            (Value::Map(map), verb) if verb != 'p' => {
                let (begin, between, end) =
                    if self.syntax { ("map[string]interface {}{", ", ", "}") } else { ("map[", " ", "]") };
                text.push_str(begin);
                for (number, (key, item)) in map.iter().enumerate() {
                    text.push_str(if number > 0 { between } else { "" });
                    self.value(text, verb, &Value::String(key.clone()));
                    text.push(':');
                    self.inner(text, verb, item);
                }
                text.push_str(end);
            }
            (Value::Bool(truth), 't' | 'v') => self.pad(text, if *truth { "true" } else { "false" }),
            (Value::Int(number), verb) if is_integer_verb(verb) => {
                self.integer(text, verb, number.unsigned_abs(), *number < 0, *number as u64);
            }
            (Value::Uint(number), 'v') if self.syntax => {
                Self { sharp: true, ..*self }.integer(text, 'x', *number, false, *number);
            }
            (Value::Uint(number), verb) if is_integer_verb(verb) => self.integer(text, verb, *number, false, *number),
            (Value::Float(number), 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E') => {
                self.float(text, verb, *number);
            }
            (Value::String(string), 'v' | 's' | 'x' | 'X' | 'q') => self.string(text, verb, string),
            (Value::Nil, _) => text.push_str(&format!("%!{verb}(<nil>)")),
            _ => {
                text.push_str(&format!("%!{verb}({}=", type_name(value)));
                self.value(text, 'v', value);
                text.push(')');
            }
        }
    }

    /// A value in a list or table: there nothing is written without its padding.
    fn inner(&self, text: &mut String, verb: char, value: &Value) {
        match value {
            Value::Nil if self.syntax => text.push_str("interface {}(nil)"),
            Value::Nil => text.push_str("<nil>"),
            value => self.value(text, verb, value),
        }
    }

    fn string(&self, text: &mut String, verb: char, string: &str) {
        let cut: String = match self.precision {
            Some(precision) => string.chars().take(precision).collect(),
            None => string.to_owned(),
        };
        match verb {
            'x' | 'X' => self.hexadecimal(text, verb == 'X', string),
            'q' => self.quoted(text, &cut),
            'v' if self.syntax => self.quoted(text, &cut),
            _ => self.pad(text, &cut),
        }
    }

    fn quoted(&self, text: &mut String, string: &str) {
        let raw = self.sharp
            && string.chars().all(|character| {
                character == '\t' || !(character.is_ascii_control() || ['`', '\u{feff}'].contains(&character))
            });
        self.pad(text, &if raw { format!("`{string}`") } else { quote(string, '"', self.plus) });
    }

    fn hexadecimal(&self, text: &mut String, upper: bool, string: &str) {
        let bytes = &string.as_bytes()[..self.precision.unwrap_or(usize::MAX).min(string.len())];
        let prefix = match (self.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let digits: Vec<String> =
            bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect();
        let shown = match (digits.is_empty(), self.space) {
            (true, _) => String::new(),
            (false, false) => format!("{prefix}{}", digits.concat()),
            (false, true) => format!("{prefix}{}", digits.join(&format!(" {prefix}"))),
        };
        self.pad(text, &shown);
    }

    /// A whole number: its size and sign, and its bits for what is about characters.
    fn integer(&self, text: &mut String, verb: char, size: u64, negative: bool, bits: u64) {
        match verb {
            // Go takes the lowest 32 bits for the character.
            'c' | 'q' => {
                let character =
                    u32::try_from(bits).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                if verb == 'c' {
                    self.pad(text, &character.to_string());
                } else {
                    self.pad(text, &quote(&character.to_string(), '\'', self.plus));
                }
                return;
            }
            'U' => {
                let least = self.precision.unwrap_or(0).max(4);
                let character = u32::try_from(bits).ok().and_then(char::from_u32);
                let shown = character.filter(|character| self.sharp && is_printable(*character));
                let shown = shown.map(|character| format!(" '{character}'")).unwrap_or_default();
                self.pad_with_blanks(text, &format!("U+{bits:0least$X}{shown}"));
                return;
            }
            _ => {}
        }
        if self.precision == Some(0) && size == 0 {
            return self.pad_with_blanks(text, "");
        }
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        let least = match (self.precision, self.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if self.zero => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let digits = match verb {
            'b' => format!("{size:b}"),
            'o' | 'O' => format!("{size:o}"),
            'x' => format!("{size:x}"),
            'X' => format!("{size:X}"),
            _ => size.to_string(),
        };
        let digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
        let prefix = match verb {
            'O' if self.sharp && !digits.starts_with('0') => "0o0",
            'O' => "0o",
            'b' if self.sharp => "0b",
            'o' if self.sharp && !digits.starts_with('0') => "0",
            'x' if self.sharp => "0x",
            'X' if self.sharp => "0X",
            _ => "",
        };
        self.pad_with_blanks(text, &format!("{sign}{prefix}{digits}"));
    }

    fn float(&self, text: &mut String, verb: char, number: f64) {
        let shape = match verb {
            'v' => 'g',
            'F' => 'f',
            verb => verb,
        };
        let precision = self.precision.or(if matches!(shape, 'f' | 'e' | 'E') { Some(6) } else { None });
        let negative = number.is_sign_negative() && !number.is_nan();
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        if !number.is_finite() {
            let sign = if sign.is_empty() && number.is_infinite() { "+" } else { sign };
            // Go shows the sign of an infinity always.
            let name = if number.is_nan() { "NaN" } else { "Inf" };
            let sign = if self.plus || self.space || negative || number.is_nan() { sign } else { "+" };
            return self.pad_with_blanks(text, &format!("{sign}{name}"));
        }
        let mut digits = unsigned_float(number.abs(), shape, precision);
        if self.sharp && shape != 'b' {
            digits = with_point(&digits, verb, precision);
        }
        let width = self.width.unwrap_or(0);
        let shown = sign.len() + digits.len();
        if self.zero && !sign.is_empty() && width > shown {
            digits.insert_str(0, &"0".repeat(width - shown));
        }
        self.pad(text, &format!("{sign}{digits}"));
    }
}

fn is_integer_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U')
}

/// A number that is not negative, in one of Go's shapes; without a precision, with as many digits as it needs.
fn unsigned_float(number: f64, shape: char, precision: Option<usize>) -> String {
    match shape {
        'f' => format!("{number:.*}", precision.unwrap_or(0)),
        'e' | 'E' => {
            let text = match precision {
                Some(precision) => format!("{number:.precision$e}"),
                None => format!("{number:e}"),
            };
            with_long_exponent(&text, shape)
        }
        'b' => {
            let bits = number.to_bits();
            let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) & 0x7ff);
            let (whole, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
            format!("{whole}p{:+}", exponent as i64 - 1075)
        }
        'x' | 'X' => hexadecimal_float(number, shape == 'X', precision),
        _ => general_float(number, shape, precision),
    }
}

/// `%g`: as `%e` for small and large exponents, else as `%f`, without noughts at the end.
fn general_float(number: f64, shape: char, precision: Option<usize>) -> String {
    let scientific = match precision {
        Some(precision) => format!("{number:.*e}", precision.max(1) - 1),
        None => format!("{number:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let count = digits.len() as i64;
    let limit = match precision {
        None => 6,
        Some(precision) => {
            let precision = precision.max(1) as i64;
            if precision > count && count > exponent { count } else { precision }
        }
    };
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let e = if shape == 'G' { 'E' } else { 'e' };
        return with_long_exponent(&format!("{first}{point}{rest}e{exponent}"), e);
    }
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// Rust writes `1e5`, Go `1e+05`.
fn with_long_exponent(text: &str, e: char) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    format!("{mantissa}{e}{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `%x`: `0x1.8p+01`.
fn hexadecimal_float(number: f64, upper: bool, precision: Option<usize>) -> String {
    let bits = number.to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) & 0x7ff);
    let (mut mantissa, mut exponent) = match (fraction, exponent) {
        (0, 0) => (0, 0),
        (fraction, 0) => {
            let shift = fraction.leading_zeros() - 11;
            (fraction << shift, -1022 - i64::from(shift))
        }
        (fraction, exponent) => (fraction | 1 << 52, exponent as i64 - 1023),
    };
    if let Some(kept) = precision.filter(|kept| *kept < 13) {
        // To the nearest, an even one if there are two.
        let dropped = 4 * (13 - kept as u32);
        let (half, rest) = (1u64 << (dropped - 1), mantissa & ((1 << dropped) - 1));
        mantissa >>= dropped;
        if rest > half || (rest == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= dropped;
        if mantissa >> 53 != 0 {
            (mantissa, exponent) = (mantissa >> 1, exponent + 1);
        }
    }
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(precision) => digits.chars().chain(std::iter::repeat('0')).take(precision).collect(),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let text = format!("0x{}{point}{digits}p{exponent:+03}", mantissa >> 52);
    if upper { text.to_uppercase() } else { text }
}

/// The flag `#`: a decimal point always, and for `%g` the noughts at the end too.
fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let exponent = match verb {
        'x' | 'X' => digits.find(['p', 'P']),
        _ => digits.find(['e', 'E']),
    };
    let (mantissa, tail) = digits.split_at(exponent.unwrap_or(digits.len()));
    let wanted = match verb {
        'v' | 'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let significant = mantissa.trim_start_matches(['0', '.']).chars().filter(|character| *character != '.').count();
    let present = if mantissa == "0" { 1 } else { significant };
    let point = if mantissa.contains('.') { "" } else { "." };
    format!("{mantissa}{point}{}{tail}", "0".repeat(wanted.saturating_sub(present)))
}

/// In quotes, with what can't be seen written as escapes.
pub(super) fn quote(string: &str, mark: char, ascii: bool) -> String {
    let mut text = String::from(mark);
    for character in string.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{b}' => text.push_str("\\v"),
            _ if character == mark => text.extend(['\\', mark]),
            _ if if ascii { (' '..='~').contains(&character) } else { is_printable(character) } => text.push(character),
            '\0'..='\u{1f}' | '\u{7f}' => text.push_str(&format!("\\x{:02x}", character as u32)),
            '\0'..='\u{ffff}' => text.push_str(&format!("\\u{:04x}", character as u32)),
            _ => text.push_str(&format!("\\U{:08x}", character as u32)),
        }
    }
    text.push(mark);
    text
}

/// Whether a character can be seen: letters, marks, numbers, punctuation, symbols and the common blank.
fn is_printable(character: char) -> bool {
    // A mark is escaped by itself, not behind a letter.
    let behind_a_letter = format!("a{character}");
    matches!(character, '\'' | '"' | '\\') || behind_a_letter.escape_debug().count() == 2
}
