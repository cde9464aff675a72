//! What a wrong name was meant to be: the nearest of the names that are known.

/// How like a name must be to be meant, from 0 to 1: a slip of the keys is above, another word below.
const NEAR: f64 = 0.82;

/// The known name nearest to a wrong one, if one is near enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(similarity, _)| *similarity > NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// `unknown WHAT "wrong"`, with the nearest known name if there is one, else all known names.
pub fn unknown<'a>(what: &str, wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("unknown {what} {wrong:?}; did you mean {name:?}?"),
        None => {
            let names: Vec<&str> = known.into_iter().collect();
            format!("unknown {what} {wrong:?}; known are: {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        assert_eq!(nearest("upsert_lokback_days", ["entropy", "upsert_lookback_days"]), Some("upsert_lookback_days"));
        assert_eq!(nearest("zzz", ["entropy"]), None);
        // Another word is not a slip.
        assert_eq!(nearest("getenv", ["greatest"]), None);
        assert_eq!(nearest("hash", ["abs"]), None);
    }
}
