//! A campaign of broken files: every prefix, every flipped bit, every quote removed or added. Each is refused or read right,
//! and the number that was tried is printed.

mod support;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use support::{Folder, Table, gzip, read, zstd};
use websessions_files::Error;

/// What became of many variants of a file.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    refused: usize,
    right: usize,
    /// Read as something else: the variants, by number.
    wrong: Vec<usize>,
}

impl Tally {
    fn add(&mut self, variant: usize, outcome: &Result<Table, Error>, original: &Table) {
        match outcome {
            Err(error) => {
                assert!(!error.message.is_empty() && error.message.len() < 1000, "{error:?}");
                self.refused += 1;
            }
            Ok(table) if table == original => self.right += 1,
            Ok(_) => self.wrong.push(variant),
        }
    }

    /// Says how much was tried, past the test runner, which shows what a test prints only if it fails.
    fn report(&self, what: &str) {
        let tried = self.refused + self.right + self.wrong.len();
        let said = format!(
            "{what}: {tried} tried, {} refused, {} read right, {} read wrong\n",
            self.refused,
            self.right,
            self.wrong.len()
        );
        std::io::stdout().write_all(said.as_bytes()).expect("standard output");
    }
}

fn csv() -> String {
    let mut text = "page_view_id,domain_sessionid,start_tstamp,engaged_time_in_s,page_title,category\n".to_owned();
    for row in 0..40 {
        let _ = writeln!(
            text,
            "p{row},s{},2024-07-01 10:{row:02}:00,{row},\"title, \"\"{row}\"\"\",\"two\nlines\"",
            row / 3
        );
    }
    text
}

fn ndjson() -> String {
    (0..40).fold(String::new(), |mut text, row| {
        let _ = writeln!(
            text,
            r#"{{"page_view_id": "p{row}", "domain_sessionid": "s{}", "start_tstamp": "2024-07-01T10:{row:02}:00Z", "engaged_time_in_s": {row}, "category": {{"a": [1, "]"]}}}}"#,
            row / 3
        );
        text
    })
}

/// Every prefix, and every flipped bit, of a file.
fn prefixes_and_bits(name: &str, content: &[u8]) -> (Tally, Tally) {
    let folder = Folder::new();
    let original = read(&folder.write(name, content)).expect("the whole file is right");
    assert!(original.rows.len() >= 30, "{}", original.rows.len());
    let mut prefixes = Tally::default();
    for length in 0..content.len() {
        prefixes.add(length, &read(&folder.write(name, &content[..length])), &original);
    }
    prefixes.report(&format!("{name}, every prefix"));
    let mut bits = Tally::default();
    for at in 0..content.len() {
        for change in [1 << (at % 8), 255] {
            let mut changed = content.to_vec();
            changed[at] ^= change;
            bits.add(at, &read(&folder.write(name, changed)), &original);
        }
    }
    bits.report(&format!("{name}, a bit of every byte flipped, and every byte"));
    (prefixes, bits)
}

fn array() -> String {
    format!("[{}]\n", ndjson().trim().replace('\n', ",\n"))
}

#[test]
fn a_compressed_text_file_is_whole_or_refused() {
    for (name, content) in [
        ("views.csv.gz", gzip(csv())),
        ("views.ndjson.gz", gzip(ndjson())),
        ("views.csv.zst", zstd(csv())),
        ("views.ndjson.zst", zstd(ndjson())),
        ("views.json.gz", gzip(array())),
    ] {
        let (prefixes, bits) = prefixes_and_bits(name, &content);
        assert_eq!((prefixes.right, prefixes.wrong), (0, vec![]), "{name}: a prefix was taken");
        assert_eq!(bits.wrong, Vec::<usize>::new(), "{name}");
        assert!(bits.refused > bits.right * 10, "{name}: {bits:?}");
    }
}

#[test]
fn a_file_of_several_members_is_whole_or_ends_with_one() {
    let text = csv();
    let rows: Vec<&str> = text.split_inclusive("lines\"\n").collect();
    let members = [gzip(rows[..20].concat()), gzip(""), gzip(rows[20..].concat())];
    let folder = Folder::new();
    let whole = members.concat();
    assert_eq!(read(&folder.write("views.csv.gz", &whole)).map(|table| table.rows.len()), Ok(40));
    let ends = [members[0].len(), members[0].len() + members[1].len()];
    for length in 0..whole.len() {
        let prefix = read(&folder.write("views.csv.gz", &whole[..length]));
        // A file that ends with a member is a whole file: nothing in it says that there was more.
        assert_eq!(prefix.is_ok(), ends.contains(&length), "{length}: {prefix:?}");
    }
}

#[test]
fn what_follows_the_compressed_part_of_a_file_is_told_from_a_file_that_was_cut() {
    let folder = Folder::new();
    let more = ["g", "garbage\n", "page_view_id,domain_sessionid\n", "\0", &"\0".repeat(512), "PS", "\u{1f}x"];
    for (ending, whole) in [("gz", gzip(csv())), ("zst", zstd(csv()))] {
        let name = format!("views.csv.{ending}");
        for more in more {
            let refused =
                read(&folder.write(&name, [&whole[..], more.as_bytes()].concat())).expect_err("it is no member");
            let begins = format!("{:?}", more.chars().take(20).collect::<String>());
            for words in ["something else follows", &*begins] {
                assert!(refused.message.contains(words), "{ending} {more:?}: {refused}");
            }
        }
        let twice = [&whole[..], &whole].concat();
        for length in [whole.len() - 4, whole.len() + 1, whole.len() + 2, whole.len() + 3] {
            let refused = read(&folder.write(&name, &twice[..length])).expect_err("it was cut");
            assert!(refused.message.contains("ends too early"), "{ending} {length}: {refused}");
        }
    }
}

#[test]
fn a_json_array_ends_with_its_bracket() {
    let array = array();
    let folder = Folder::new();
    let original = read(&folder.write("views.json", &array)).expect("the whole file is right");
    assert_eq!(original.rows, read(&folder.write("views.ndjson", ndjson())).expect("right").rows);
    let mut prefixes = Tally::default();
    for length in 0..array.len() - 1 {
        prefixes.add(length, &read(&folder.write("views.json", &array[..length])), &original);
    }
    prefixes.report("views.json, every prefix");
    assert_eq!(prefixes, Tally { refused: array.len() - 1, ..Tally::default() });
}

/// What holds the objects together is seen, whichever of it is missing or comes twice.
#[test]
fn a_bracket_or_comma_more_or_less_is_refused() {
    let folder = Folder::new();
    for (name, text) in [("views.json", array()), ("views.ndjson", ndjson())] {
        let original = read(&folder.write(name, &text)).expect("the whole file is right");
        let mut tally = Tally::default();
        // Of the nested value of a row the rest is text, as the file has it.
        let marks = text.match_indices(['{', '}', ',', ':', '"']).map(|(at, _)| at);
        let marks: Vec<usize> =
            marks.filter(|at| !text[..*at].rsplit('\n').next().is_some_and(|row| row.contains("[1"))).collect();
        for &at in &marks {
            let mark = &text[at..=at];
            for changed in [[&text[..at], &text[at + 1..]].concat(), [&text[..at], mark, &text[at..]].concat()] {
                tally.add(at, &read(&folder.write(name, changed)), &original);
            }
        }
        tally.report(&format!("{name}, every brace, comma, colon and quote removed or doubled"));
        assert_eq!(tally, Tally { refused: marks.len() * 2, ..Tally::default() });
    }
}

#[test]
fn a_quote_more_or_less_is_refused() {
    let text = csv();
    let folder = Folder::new();
    let original = read(&folder.write("views.csv", &text)).expect("the whole file is right");
    let mut tally = Tally::default();
    let quotes = text.match_indices('"').map(|(at, _)| at).collect::<Vec<_>>();
    for &at in &quotes {
        let removed = [&text[..at], &text[at + 1..]].concat();
        tally.add(at, &read(&folder.write("views.csv", removed)), &original);
    }
    tally.report("views.csv, every quote removed");
    assert_eq!(tally, Tally { refused: quotes.len(), ..Tally::default() });
    let mut tally = Tally::default();
    for at in 0..=text.len() {
        let added = [&text[..at], "\"", &text[at..]].concat();
        tally.add(at, &read(&folder.write("views.csv", added)), &original);
    }
    tally.report("views.csv, a quote added everywhere");
    assert_eq!(tally, Tally { refused: text.len() + 1, ..Tally::default() });
}

/// Pages with checksums, and a footer that says what matters twice: no byte is read as another.
#[test]
fn a_parquet_file_with_checksums_is_whole_or_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checksums.parquet");
    let content = std::fs::read(path).expect("the file");
    let (prefixes, bits) = prefixes_and_bits("checksums.parquet", &content);
    assert_eq!((prefixes.right, prefixes.wrong), (0, vec![]), "a prefix was taken");
    assert_eq!(bits.wrong, Vec::<usize>::new());
}

/// Many writers leave the checksums out. No reader can tell another value in a page then; the footer is checked all the same.
#[test]
fn a_parquet_file_without_checksums_is_checked_outside_its_pages() {
    let content = parquet();
    let length = content[content.len() - 8..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let footer = content.len() - 8 - length;
    let (prefixes, bits) = prefixes_and_bits("no checksums.parquet", &content);
    assert_eq!((prefixes.right, prefixes.wrong), (0, vec![]), "a prefix was taken");
    let in_footer: Vec<&usize> = bits.wrong.iter().filter(|at| **at >= footer).collect();
    assert_eq!(in_footer, Vec::<&usize>::new());
    assert!(!bits.wrong.is_empty(), "if the writer adds checksums now, so much the better: then say so here");
}

fn parquet() -> Vec<u8> {
    let rows: Vec<i64> = (0..40).collect();
    let texts = |text: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(*row))).collect::<StringArray>())
    };
    let times = rows.iter().map(|row| Some(1_719_828_000_000_000 + row)).collect::<TimestampMicrosecondArray>();
    let batch = RecordBatch::try_from_iter(vec![
        ("page_view_id", texts(&|row| format!("p{row}"))),
        ("domain_sessionid", texts(&|row| format!("s{}", row / 3))),
        ("start_tstamp", Arc::new(times)),
    ]);
    let batch = batch.expect("a batch");
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    content
}
